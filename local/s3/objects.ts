import type { ServerResponse } from "node:http";
import type { Segment } from "./blobs.ts";
import { type Checksum, checksumHeader } from "./checksums.ts";
import { checkReadConditions, matchesEtag } from "./conditions.ts";
import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { buildExpirationHeader } from "./lifecycle.ts";
import { requireBucket, requireObject } from "./lookups.ts";
import type { StoredObject } from "./model.ts";
import { buildObjectHeaders, readAttributes, readTaggingHeader } from "./object-headers.ts";
import { parseRange } from "./ranges.ts";
import type { Storage } from "./storage.ts";
import { checkWriteConditions } from "./write-conditions.ts";
import { buildDocument, element } from "./xml.ts";

/** The headers by which a write confirms its checksum. */
export function buildChecksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (!checksum) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, "x-amz-checksum-type": checksum.type };
}

/** PutObject: visible as a whole and durable when it is answered, or not at all. */
export async function putObject(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket, key } = exchange;
  const { storage } = context;
  requireBucket(storage, bucket);
  const attributes = readAttributes(exchange);
  const tags = readTaggingHeader(exchange);
  checkWriteConditions(exchange, storage.objects.find(bucket, key));
  const received = await exchange.receiveBody(storage);
  const { body, sizeBytes, md5: etag, checksum } = received;
  const modifiedMs = context.now();
  try {
    await storage.write((transaction) => {
      requireBucket(storage, bucket);
      checkWriteConditions(exchange, storage.objects.find(bucket, key));
      if (body.kind === "files") for (const { blobId } of body.segments) transaction.keepBlob(blobId);
      storage.putObject(transaction, {
        bucket,
        key,
        etag,
        sizeBytes,
        modifiedMs,
        attributes: checksum ? { ...attributes, checksum } : attributes,
        tags,
        body,
      });
    });
  } catch (error) {
    storage.dropBody(body);
    throw error;
  }
  const expiration = buildExpirationHeader(storage, { bucket, key, sizeBytes, modifiedMs, tags });
  return { status: 200, headers: { etag: `"${etag}"`, ...buildChecksumHeaders(checksum), ...expiration } };
}

/** GetObject and HeadObject: conditions, ranges, parts, and the bytes as a stream. */
export async function getObject(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage } = context;
  const object = requireObject(storage, exchange.bucket, exchange.key);
  const verdict = checkReadConditions(
    {
      ifMatch: exchange.header("if-match"),
      ifNoneMatch: exchange.header("if-none-match"),
      ifModifiedSince: exchange.header("if-modified-since"),
      ifUnmodifiedSince: exchange.header("if-unmodified-since"),
    },
    object,
  );
  if (verdict.outcome === "failed") throw s3Error("PreconditionFailed", undefined, { Condition: verdict.condition });
  const headers = {
    ...buildObjectHeaders(object, exchange, true),
    ...buildExpirationHeader(storage, object),
  };
  if (verdict.outcome === "not_modified") {
    const { etag = "", "last-modified": lastModified = "" } = headers;
    return { status: 304, headers: { etag, "last-modified": lastModified } };
  }
  const selection = selectBytes(exchange, object);
  if (!selection) return { status: 200, ...readBody(storage, object, 0, object.sizeBytes - 1, headers) };
  const { firstByte, lastByte, partsCount } = selection;
  const partial = {
    ...buildObjectHeaders(object, exchange, lastByte - firstByte + 1 === object.sizeBytes),
    ...buildExpirationHeader(storage, object),
    "content-range": `bytes ${firstByte}-${lastByte}/${object.sizeBytes}`,
    ...(partsCount === undefined ? {} : { "x-amz-mp-parts-count": String(partsCount) }),
  };
  return { status: 206, ...readBody(storage, object, firstByte, lastByte, partial) };
}

interface Selection {
  firstByte: number;
  lastByte: number;
  /** Set where a part of a multipart object was asked for. */
  partsCount?: number;
}

/** The bytes a request asks for; undefined means all of them, as an ordinary 200. */
function selectBytes(exchange: Exchange, object: StoredObject): Selection | undefined {
  const partNumber = exchange.query.get("partNumber");
  const header = exchange.header("range");
  if (partNumber !== undefined) {
    if (header !== undefined) throw s3Error("InvalidRequest", "Cannot specify both Range header and partNumber.");
    return selectPart(object, partNumber);
  }
  const range = parseRange(header, object.sizeBytes);
  if (range.kind === "unsatisfiable") {
    throw s3Error("InvalidRange", undefined, {
      RangeRequested: header ?? "",
      ActualObjectSize: String(object.sizeBytes),
    });
  }
  return range.kind === "whole" ? undefined : range;
}

function selectPart(object: StoredObject, partNumber: string): Selection | undefined {
  const isMultipart = object.etag.includes("-");
  const parts = isMultipart && object.segments ? object.segments : [{ blobId: "", sizeBytes: object.sizeBytes }];
  const index = Number(partNumber) - 1;
  const part = /^\d{1,5}$/.test(partNumber) ? parts[index] : undefined;
  if (!part) throw s3Error("InvalidPartNumber", undefined, { ActualPartCount: String(parts.length) });
  if (part.sizeBytes === 0) return undefined;
  const firstByte = parts.slice(0, index).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const selection = { firstByte, lastByte: firstByte + part.sizeBytes - 1 };
  return isMultipart ? { ...selection, partsCount: parts.length } : selection;
}

/** Body, length and release for a run of an object's bytes; the object's files are held until the release. */
function readBody(
  storage: Storage,
  object: StoredObject,
  firstByte: number,
  lastByte: number,
  headers: Record<string, string>,
): Pick<Answer, "headers" | "body" | "release"> {
  const length = { "content-length": String(lastByte - firstByte + 1) };
  const { segments } = object;
  // No await between finding the object and this point, so body and headers are of one version.
  if (!segments) {
    const body = storage.objects.readInlineBody(object.objectId).subarray(firstByte, lastByte + 1);
    return { headers: { ...headers, ...length }, body };
  }
  storage.blobs.pin(segments);
  return {
    headers: { ...headers, ...length },
    body: (response) => streamSegments(storage, segments, firstByte, lastByte, response),
    release: () => storage.blobs.unpin(segments),
  };
}

async function streamSegments(
  storage: Storage,
  segments: readonly Segment[],
  firstByte: number,
  lastByte: number,
  response: ServerResponse,
): Promise<void> {
  for await (const chunk of storage.blobs.read(segments, firstByte, lastByte)) {
    // One buffer serves the whole download, so each write has to be handed to the socket before the next read.
    await new Promise<void>((resolve, reject) => {
      response.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
  response.end();
}

/** DeleteObject: also of a key that does not exist, unless `If-Match` asks for a version. */
export async function deleteObject(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket, key } = exchange;
  const { storage } = context;
  const ifMatch = exchange.header("if-match");
  await storage.write((transaction) => {
    requireBucket(storage, bucket);
    const object = storage.objects.find(bucket, key);
    if (ifMatch !== undefined && !object) throw s3Error("NoSuchKey", undefined, { Key: key });
    if (ifMatch !== undefined && object && !matchesEtag(ifMatch, object.etag)) {
      throw s3Error("PreconditionFailed", undefined, { Condition: "If-Match" });
    }
    if (object) storage.removeObject(transaction, object);
  });
  return { status: 204 };
}

const maxDeletes = 1000;

/** DeleteObjects: up to 1000 keys in one change. */
export async function deleteObjects(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { bucket } = exchange;
  const { storage } = context;
  requireBucket(storage, bucket);
  if (!exchange.hasIntegrityHeader) {
    throw s3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*");
  }
  const document = await exchange.receiveDocument("Delete", storage);
  const requested = document.children("Object").map((object) => ({
    key: object.text("Key") ?? "",
    ifMatch: object.text("ETag"),
  }));
  if (requested.length === 0 || requested.length > maxDeletes) throw s3Error("MalformedXML");
  const quiet = document.text("Quiet") === "true";
  const results = await storage.write((transaction) => {
    requireBucket(storage, bucket);
    return requested.map(({ key, ifMatch }) => {
      const object = storage.objects.find(bucket, key);
      if (ifMatch !== undefined && !(object && matchesEtag(ifMatch, object.etag))) {
        const error = object ? s3Error("PreconditionFailed") : s3Error("NoSuchKey");
        return element("Error", [element("Key", key), element("Code", error.code), element("Message", error.message)]);
      }
      if (object) storage.removeObject(transaction, object);
      return quiet ? undefined : element("Deleted", [element("Key", key)]);
    });
  });
  return { status: 200, body: buildDocument("DeleteResult", results) };
}
