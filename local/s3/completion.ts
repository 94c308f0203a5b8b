import { encodeRfc3986 } from "../aws/encoding.ts";
import {
  type Checksum,
  checksumAlgorithms,
  checksumElement,
  checksumHeader,
  combineCrcs,
  composeChecksum,
} from "./checksums.ts";
import { unquoteEtag } from "./conditions.ts";
import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { buildExpirationHeader } from "./lifecycle.ts";
import { requireBucket } from "./lookups.ts";
import type { StoredObject, StoredPart, StoredUpload } from "./model.ts";
import { composeEtag, requireUpload } from "./multipart.ts";
import type { Storage, Transaction } from "./storage.ts";
import { checkWriteConditions } from "./write-conditions.ts";
import { buildDocument, element, type XmlElement } from "./xml.ts";

const minPartBytes = 5 * 1024 * 1024;

interface ListedPart {
  partNumber: number;
  etag: string;
  /** The checksums the client repeats, by algorithm. */
  checksums: ReadonlyMap<string, string>;
}

type Completed = Pick<StoredObject, "etag" | "sizeBytes" | "modifiedMs" | "tags"> & { checksum: Checksum | undefined };

/**
 * CompleteMultipartUpload: the parts' files become the object's in one change, nothing is copied. Repeating a
 * completion that went through is answered like the first time, as S3 does it, so that a client whose answer got
 * lost can ask again.
 */
export async function completeMultipartUpload(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket, key } = exchange;
  const { storage } = context;
  requireBucket(storage, bucket);
  // The checksum headers of this request are the object's, not the document's.
  const document = await exchange.receiveDocument("CompleteMultipartUpload", storage, false);
  const listed = document.children("Part").map(parseListedPart);
  if (listed.length === 0) throw s3Error("MalformedXML", "You must specify at least one part");
  if (listed.some((part, index) => index > 0 && part.partNumber <= (listed[index - 1]?.partNumber ?? 0))) {
    throw s3Error("InvalidPartOrder");
  }
  const now = context.now();
  const completed = await storage.write((transaction): Completed => {
    const existing = storage.objects.find(bucket, key);
    const uploadId = exchange.query.get("uploadId");
    if (existing && existing.attributes.uploadId === uploadId && uploadId !== undefined) {
      checkWriteConditions(exchange, existing);
      return { ...existing, checksum: existing.attributes.checksum };
    }
    const upload = requireUpload(exchange, storage);
    checkWriteConditions(exchange, existing);
    return assemble(exchange, storage, transaction, upload, listed, now);
  });
  const path = `${bucket}/${key.split("/").map(encodeRfc3986).join("/")}`;
  const { checksum } = completed;
  const body = buildDocument("CompleteMultipartUploadResult", [
    element("Location", `http://${exchange.header("host") ?? ""}/${path}`),
    element("Bucket", bucket),
    element("Key", key),
    element("ETag", `"${completed.etag}"`),
    checksum && element(checksumElement(checksum.algorithm), checksum.value),
    checksum && element("ChecksumType", checksum.type),
  ]);
  return { status: 200, headers: buildExpirationHeader(storage, { ...completed, bucket, key }), body };
}

function assemble(
  exchange: Exchange,
  storage: Storage,
  transaction: Transaction,
  upload: StoredUpload,
  listed: readonly ListedPart[],
  modifiedMs: number,
): Completed {
  const stored = new Map(storage.uploads.listParts(upload.uploadId).map((part) => [part.partNumber, part]));
  const parts = listed.map((part) => matchPart(upload, part, stored.get(part.partNumber)));
  const tooSmall = parts.slice(0, -1).find(({ segment }) => segment.sizeBytes < minPartBytes);
  if (tooSmall) {
    throw s3Error("EntityTooSmall", undefined, {
      ProposedSize: String(tooSmall.segment.sizeBytes),
      MinSizeAllowed: String(minPartBytes),
      PartNumber: String(tooSmall.partNumber),
      ETag: tooSmall.etag,
    });
  }
  const sizeBytes = parts.reduce((sum, { segment }) => sum + segment.sizeBytes, 0);
  const announced = exchange.header("x-amz-mp-object-size");
  if (announced !== undefined && Number(announced) !== sizeBytes) {
    throw s3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.");
  }
  const checksum = computeChecksum(upload, parts);
  checkAnnouncedChecksum(exchange, checksum);
  const etag = composeEtag(parts.map((part) => part.etag));

  const used = new Set(parts.map(({ segment }) => segment.blobId));
  const unused = [...stored.values()].map(({ segment }) => segment.blobId).filter((blobId) => !used.has(blobId));
  transaction.discardBlobs(unused);
  storage.uploads.remove(upload.uploadId);
  storage.putObject(transaction, {
    bucket: upload.bucket,
    key: upload.key,
    etag,
    sizeBytes,
    modifiedMs,
    attributes: { ...upload.attributes, uploadId: upload.uploadId, ...(checksum ? { checksum } : {}) },
    tags: upload.tags,
    body: { kind: "files", segments: parts.map(({ segment }) => segment) },
  });
  return { etag, sizeBytes, modifiedMs, tags: upload.tags, checksum };
}

/** The stored part that a listed one means; its entity tag and checksums have to agree. */
function matchPart(upload: StoredUpload, listed: ListedPart, stored: StoredPart | undefined): StoredPart {
  const { partNumber, etag, checksums } = listed;
  const own = stored?.checksum;
  const disagrees = [...checksums].some(([algorithm, value]) => own?.algorithm === algorithm && own.value !== value);
  if (!stored || stored.etag !== etag || disagrees) {
    throw s3Error("InvalidPart", undefined, {
      UploadId: upload.uploadId,
      PartNumber: String(partNumber),
      ETag: etag,
    });
  }
  const { checksum } = upload;
  if (checksum?.type === "COMPOSITE" && !checksums.has(checksum.algorithm)) {
    throw s3Error(
      "InvalidRequest",
      `The upload was created using a ${checksum.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${partNumber} in the request.`,
    );
  }
  return stored;
}

function computeChecksum(upload: StoredUpload, parts: readonly StoredPart[]): Checksum | undefined {
  if (!upload.checksum) return undefined;
  const { algorithm, type } = upload.checksum;
  const values = parts.map(({ checksum }) => checksum?.value ?? "");
  if (type === "COMPOSITE") return { algorithm, type, value: composeChecksum(algorithm, values) };
  if (algorithm !== "CRC32" && algorithm !== "CRC32C") throw new Error(`no full-object checksum for ${algorithm}`);
  const crcs = parts.map(({ segment }, index) => ({ value: values[index] ?? "", sizeBytes: segment.sizeBytes }));
  return { algorithm, type, value: combineCrcs(algorithm, crcs) };
}

function checkAnnouncedChecksum(exchange: Exchange, checksum: Checksum | undefined): void {
  for (const algorithm of checksumAlgorithms) {
    const announced = exchange.header(checksumHeader(algorithm));
    if (announced === undefined || checksum?.algorithm !== algorithm) continue;
    // Of a composite checksum clients may leave out the number of parts.
    if (announced !== checksum.value && announced !== checksum.value.replace(/-\d+$/, "")) {
      throw s3Error("BadDigest", `The ${algorithm} you specified did not match the calculated checksum.`);
    }
  }
}

function parseListedPart(part: XmlElement): ListedPart {
  const partNumber = part.text("PartNumber") ?? "";
  const etag = part.text("ETag");
  if (!/^\d{1,6}$/.test(partNumber) || etag === undefined) throw s3Error("MalformedXML");
  const checksums = new Map<string, string>();
  for (const algorithm of checksumAlgorithms) {
    const value = part.text(checksumElement(algorithm));
    if (value !== undefined) checksums.set(algorithm, value);
  }
  return { partNumber: Number(partNumber), etag: unquoteEtag(etag), checksums };
}
