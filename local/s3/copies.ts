import { storeBody } from "./body.ts";
import { type Checksum, type ChecksumAlgorithm, checksumAlgorithms, checksumElement } from "./checksums.ts";
import { checkReadConditions } from "./conditions.ts";
import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { requireBucket, requireObject } from "./lookups.ts";
import type { StoredBody, StoredObject } from "./model.ts";
import { readAttributes, readTaggingHeader } from "./object-headers.ts";
import type { Storage } from "./storage.ts";
import { parseCopySource } from "./target.ts";
import { checkWriteConditions } from "./write-conditions.ts";
import { buildDocument, element, formatTime } from "./xml.ts";

const maxCopyBytes = 5 * 1024 ** 3;

/** CopyObject: within a bucket and between buckets, with the source's attributes or new ones. */
export async function copyObject(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket, key } = exchange;
  const { storage } = context;
  requireBucket(storage, bucket);
  const source = findCopySource(exchange, storage);
  if (source.sizeBytes > maxCopyBytes) {
    throw s3Error(
      "InvalidRequest",
      "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120",
    );
  }
  const replacesAttributes = readDirective(exchange, "x-amz-metadata-directive");
  const replacesTags = readDirective(exchange, "x-amz-tagging-directive");
  if (source.bucket === bucket && source.key === key && !replacesAttributes) {
    throw s3Error(
      "InvalidRequest",
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    );
  }
  const given = readAttributes(exchange);
  const { headers, metadata } = replacesAttributes ? given : source.attributes;
  const tags = replacesTags ? readTaggingHeader(exchange) : source.tags;
  checkWriteConditions(exchange, storage.objects.find(bucket, key));

  const copy = await copyBody(storage, source, readAlgorithm(exchange));
  const modifiedMs = context.now();
  try {
    await storage.write((transaction) => {
      requireBucket(storage, bucket);
      checkWriteConditions(exchange, storage.objects.find(bucket, key));
      if (copy.body.kind === "files") for (const { blobId } of copy.body.segments) transaction.keepBlob(blobId);
      const attributes = { headers, metadata, ...(copy.checksum ? { checksum: copy.checksum } : {}) };
      const { etag, body } = copy;
      storage.putObject(transaction, {
        bucket,
        key,
        etag,
        sizeBytes: source.sizeBytes,
        modifiedMs,
        attributes,
        tags,
        body,
      });
    });
  } catch (error) {
    storage.dropBody(copy.body);
    throw error;
  }
  return { status: 200, body: buildCopyResult("CopyObjectResult", copy.etag, modifiedMs, copy.checksum) };
}

/** The object a copy request names, if the request's conditions on it hold. */
export function findCopySource(exchange: Exchange, storage: Storage): StoredObject {
  const target = parseCopySource(exchange.header("x-amz-copy-source") ?? "");
  const source = requireObject(storage, target.bucket, target.key);
  const verdict = checkReadConditions(
    {
      ifMatch: exchange.header("x-amz-copy-source-if-match"),
      ifNoneMatch: exchange.header("x-amz-copy-source-if-none-match"),
      ifModifiedSince: exchange.header("x-amz-copy-source-if-modified-since"),
      ifUnmodifiedSince: exchange.header("x-amz-copy-source-if-unmodified-since"),
    },
    source,
  );
  if (verdict.outcome !== "proceed") {
    throw s3Error("PreconditionFailed", undefined, { Condition: `x-amz-copy-source-${verdict.condition}` });
  }
  return source;
}

/** The document both kinds of copies are answered with. */
export function buildCopyResult(
  root: string,
  etag: string,
  modifiedMs: number,
  checksum: Checksum | undefined,
): string {
  return buildDocument(root, [
    element("LastModified", formatTime(modifiedMs)),
    element("ETag", `"${etag}"`),
    checksum && element("ChecksumType", checksum.type),
    checksum && element(checksumElement(checksum.algorithm), checksum.value),
  ]);
}

function readDirective(exchange: Exchange, name: string): boolean {
  const directive = exchange.header(name) ?? "COPY";
  if (directive !== "COPY" && directive !== "REPLACE") throw s3Error("InvalidArgument", `Unknown ${name}.`);
  return directive === "REPLACE";
}

function readAlgorithm(exchange: Exchange): ChecksumAlgorithm | undefined {
  const name = exchange.header("x-amz-checksum-algorithm");
  if (name === undefined) return undefined;
  const algorithm = checksumAlgorithms.find((candidate) => candidate === name.toUpperCase());
  if (!algorithm) throw s3Error("InvalidRequest", "Checksum algorithm provided is unsupported.");
  return algorithm;
}

interface CopiedBody {
  body: StoredBody;
  etag: string;
  checksum: Checksum | undefined;
}

/**
 * Copies the bytes of an object. A file is linked, not read; only where the copy needs digests the source does not
 * have (it was uploaded in parts, or another checksum is asked for) are its bytes read.
 */
async function copyBody(
  storage: Storage,
  source: StoredObject,
  algorithm: ChecksumAlgorithm | undefined,
): Promise<CopiedBody> {
  const { checksum } = source.attributes;
  const wanted = algorithm ?? checksum?.algorithm;
  const keepsChecksum = wanted === undefined || (checksum?.algorithm === wanted && checksum.type === "FULL_OBJECT");
  const { segments } = source;
  const bytes = segments ? undefined : storage.objects.readInlineBody(source.objectId);
  if (keepsChecksum && !source.etag.includes("-")) {
    const [segment] = segments ?? [];
    const body: StoredBody = segment
      ? { kind: "files", segments: [await storage.blobs.duplicate(segment)] }
      : { kind: "inline", bytes: bytes ?? new Uint8Array(0) };
    return { body, etag: source.etag, checksum };
  }
  const expectations = {
    sizeBytes: source.sizeBytes,
    ...(wanted === undefined ? {} : { checksum: { algorithm: wanted, expected: () => undefined } }),
  };
  const stream = segments
    ? readPinned(storage, source, 0, source.sizeBytes - 1)
    : toStream(Buffer.from(bytes ?? new Uint8Array(0)));
  const received = await storeBody(stream, expectations, storage.blobs);
  return { body: received.body, etag: received.md5, checksum: received.checksum };
}

async function* toStream(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** A copy's source as a stream of buffers of its own, held on disk until the stream ends. */
export async function* readPinned(
  storage: Storage,
  source: StoredObject,
  firstByte: number,
  lastByte: number,
): AsyncGenerator<Buffer> {
  if (!source.segments) {
    yield Buffer.from(storage.objects.readInlineBody(source.objectId).subarray(firstByte, lastByte + 1));
    return;
  }
  const { segments } = source;
  storage.blobs.pin(segments);
  try {
    // The reader uses one buffer over and over; the writer collects several before they go to disk.
    for await (const chunk of storage.blobs.read(segments, firstByte, lastByte)) yield Buffer.from(chunk);
  } finally {
    storage.blobs.unpin(segments);
  }
}
