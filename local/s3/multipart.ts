import { createHash, randomBytes } from "node:crypto";
import { storeBody, toFileBody } from "./body.ts";
import { type Checksum, checksumAlgorithms, checksumElement } from "./checksums.ts";
import { buildCopyResult, findCopySource, readPinned } from "./copies.ts";
import { notImplemented, s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { ownerElement, readCount } from "./list-operations.ts";
import { requireBucket } from "./lookups.ts";
import type { StoredBody, StoredUpload, UploadChecksum } from "./model.ts";
import { readAttributes, readTaggingHeader } from "./object-headers.ts";
import { buildChecksumHeaders } from "./objects.ts";
import type { Storage, Transaction } from "./storage.ts";
import { buildDocument, element, formatTime } from "./xml.ts";

const maxParts = 10_000;

/** CreateMultipartUpload. */
export async function createMultipartUpload(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket, key } = exchange;
  const { storage } = context;
  requireBucket(storage, bucket);
  const checksum = readUploadChecksum(exchange);
  const upload: StoredUpload = {
    uploadId: randomBytes(24).toString("base64url"),
    bucket,
    key,
    startedMs: context.now(),
    attributes: readAttributes(exchange),
    tags: readTaggingHeader(exchange),
    checksum,
  };
  await storage.write(() => {
    requireBucket(storage, bucket);
    storage.uploads.create(upload);
  });
  const headers: Record<string, string> = checksum
    ? { "x-amz-checksum-algorithm": checksum.algorithm, "x-amz-checksum-type": checksum.type }
    : {};
  const body = buildDocument("InitiateMultipartUploadResult", [
    element("Bucket", bucket),
    element("Key", key),
    element("UploadId", upload.uploadId),
  ]);
  return { status: 200, headers, body };
}

/** UploadPart: a part replaces an earlier one of its number. */
export async function uploadPart(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage } = context;
  const partNumber = readPartNumber(exchange);
  const upload = requireUpload(exchange, storage);
  // Parts are always files: completing the upload then only writes down which ones.
  const received = await exchange.receiveBody(storage, 0);
  const { md5: etag, checksum } = received;
  if (upload.checksum && checksum?.algorithm !== upload.checksum.algorithm) {
    storage.dropBody(received.body);
    const actual = checksum?.algorithm.toLowerCase() ?? "null";
    throw s3Error(
      "InvalidRequest",
      `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksum.algorithm.toLowerCase()}, actual checksum Type: ${actual}`,
    );
  }
  await storePart(exchange, context, partNumber, received);
  const { "x-amz-checksum-type": _type, ...headers } = buildChecksumHeaders(checksum);
  return { status: 200, headers: { etag: `"${etag}"`, ...headers } };
}

/** UploadPartCopy: a part from the bytes, or a range of them, of an object. */
export async function uploadPartCopy(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage } = context;
  const partNumber = readPartNumber(exchange);
  const { checksum: uploadChecksum } = requireUpload(exchange, storage);
  const source = findCopySource(exchange, storage);
  const range = exchange.header("x-amz-copy-source-range");
  const [, first = "0", last = String(source.sizeBytes - 1)] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(range ?? "") ?? [];
  const [firstByte, lastByte] = [Number(first), Number(last)];
  if (range !== undefined && (!/^bytes=\d+-\d+$/.test(range) || lastByte < firstByte || lastByte >= source.sizeBytes)) {
    throw s3Error("InvalidArgument", `Range specified is not valid for source object of size: ${source.sizeBytes}`);
  }
  const expectations = {
    sizeBytes: lastByte - firstByte + 1,
    ...(uploadChecksum ? { checksum: { algorithm: uploadChecksum.algorithm, expected: () => undefined } } : {}),
  };
  const stream = readPinned(storage, source, firstByte, lastByte);
  const received = await storeBody(stream, expectations, storage.blobs, 0);
  const modifiedMs = await storePart(exchange, context, partNumber, received);
  return { status: 200, body: buildCopyResult("CopyPartResult", received.md5, modifiedMs, received.checksum) };
}

/** ListParts. */
export async function listParts(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  const upload = requireUpload(exchange, storage);
  const marker = readCount(exchange, "part-number-marker", maxParts);
  const after = exchange.query.has("part-number-marker") ? marker : 0;
  const limit = readCount(exchange, "max-parts", 1000);
  const found = storage.uploads.listParts(upload.uploadId, after, limit + 1);
  const parts = found.slice(0, limit);
  const body = buildDocument("ListPartsResult", [
    element("Bucket", exchange.bucket),
    element("Key", exchange.key),
    element("UploadId", upload.uploadId),
    ownerElement("Initiator"),
    ownerElement(),
    element("StorageClass", "STANDARD"),
    upload.checksum && element("ChecksumAlgorithm", upload.checksum.algorithm),
    upload.checksum && element("ChecksumType", upload.checksum.type),
    element("PartNumberMarker", after),
    element("NextPartNumberMarker", parts.at(-1)?.partNumber ?? 0),
    element("MaxParts", limit),
    element("IsTruncated", found.length > limit),
    ...parts.map((part) =>
      element("Part", [
        element("PartNumber", part.partNumber),
        element("LastModified", formatTime(part.modifiedMs)),
        element("ETag", `"${part.etag}"`),
        element("Size", part.segment.sizeBytes),
        part.checksum && element(checksumElement(part.checksum.algorithm), part.checksum.value),
      ]),
    ),
  ]);
  return { status: 200, body };
}

/** AbortMultipartUpload: the parts go; one that is just being uploaded is refused when it arrives. */
export async function abortMultipartUpload(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  await storage.write((transaction) => {
    const { uploadId } = requireUpload(exchange, storage);
    storage.removeUpload(transaction, uploadId);
  });
  return { status: 204 };
}

/** The open upload a request names, or NoSuchUpload. */
export function requireUpload(exchange: Exchange, storage: Storage): StoredUpload {
  const uploadId = exchange.query.get("uploadId") ?? "";
  const upload = storage.uploads.find(uploadId);
  if (upload && upload.bucket === exchange.bucket && upload.key === exchange.key) return upload;
  requireBucket(storage, exchange.bucket);
  throw s3Error("NoSuchUpload", undefined, { UploadId: uploadId });
}

function readPartNumber(exchange: Exchange): number {
  const text = exchange.query.get("partNumber") ?? "";
  const partNumber = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (partNumber < 1 || partNumber > maxParts) {
    throw s3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive");
  }
  return partNumber;
}

function readUploadChecksum(exchange: Exchange): UploadChecksum | undefined {
  const name = exchange.header("x-amz-checksum-algorithm")?.toUpperCase();
  const type = exchange.header("x-amz-checksum-type")?.toUpperCase();
  if (name === undefined) {
    if (type === undefined) return undefined;
    throw s3Error("InvalidRequest", "The x-amz-checksum-type header can only be used with x-amz-checksum-algorithm.");
  }
  if (name === "CRC64NVME") throw notImplemented("the checksum CRC64NVME");
  const algorithm = checksumAlgorithms.find((candidate) => candidate === name);
  if (!algorithm) throw s3Error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  if (type === undefined || type === "COMPOSITE") return { algorithm, type: "COMPOSITE" };
  if (type === "FULL_OBJECT" && (algorithm === "CRC32" || algorithm === "CRC32C")) return { algorithm, type };
  throw s3Error("InvalidRequest", `The ${type} checksum type cannot be used with the ${name} checksum algorithm.`);
}

interface NewPart {
  body: StoredBody;
  md5: string;
  checksum: Checksum | undefined;
}

async function storePart(exchange: Exchange, context: S3Context, partNumber: number, part: NewPart): Promise<number> {
  const { storage } = context;
  const { segments } = await toFileBody(part.body, storage.blobs);
  const [segment] = segments;
  if (!segment) throw new Error("a part has exactly one file");
  const modifiedMs = context.now();
  try {
    await storage.write((transaction: Transaction) => {
      const { uploadId } = requireUpload(exchange, storage);
      const previous = storage.uploads.findPart(uploadId, partNumber);
      if (previous) transaction.discardBlobs([previous.segment.blobId]);
      transaction.keepBlob(segment.blobId);
      storage.uploads.putPart(uploadId, { partNumber, etag: part.md5, modifiedMs, segment, checksum: part.checksum });
    });
  } catch (error) {
    storage.dropBody({ kind: "files", segments });
    throw error;
  }
  return modifiedMs;
}

/** The entity tag of a multipart object: MD5 over the parts' MD5s, and their number. */
export function composeEtag(partEtags: readonly string[]): string {
  const md5 = createHash("md5");
  for (const etag of partEtags) md5.update(Buffer.from(etag, "hex"));
  return `${md5.digest("hex")}-${partEtags.length}`;
}
