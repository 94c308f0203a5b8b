import { encodeRfc3986 } from "../aws/encoding.ts";
import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { type ListPage, type ListPosition, listKeys } from "./listing.ts";
import { requireBucket } from "./lookups.ts";
import type { StoredObject } from "./model.ts";
import type { Storage } from "./storage.ts";
import { buildDocument, element, formatTime } from "./xml.ts";

const maxPage = 1000;
/** There is one account, with one name. */
export const ownerElement = (name = "Owner"): string =>
  element(name, [element("ID", "sluice"), element("DisplayName", "sluice")]);

/** ListObjectsV2: pages by an opaque token. */
export async function listObjectsV2(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const { prefix, delimiter, maxKeys, encode } = readListArguments(exchange, "max-keys");
  const token = exchange.query.get("continuation-token");
  const start = exchange.query.get("start-after");
  const after = token !== undefined ? decodeToken(token) : start ? { text: start, isPrefix: false } : undefined;
  const page = listObjectPage(storage, exchange.bucket, { prefix, delimiter, after, maxKeys });
  const withOwner = exchange.query.get("fetch-owner") === "true";
  const body = buildDocument("ListBucketResult", [
    element("Name", exchange.bucket),
    element("Prefix", encode(prefix)),
    start === undefined ? undefined : element("StartAfter", encode(start)),
    token === undefined ? undefined : element("ContinuationToken", token),
    page.last && element("NextContinuationToken", encodeToken(page.last)),
    element("KeyCount", page.rows.length + page.commonPrefixes.length),
    ...buildPage(exchange, page, { delimiter, maxKeys, encode, withOwner }),
  ]);
  return { status: 200, body };
}

/** ListObjects, the older form: pages by the last key. */
export async function listObjects(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const { prefix, delimiter, maxKeys, encode } = readListArguments(exchange, "max-keys");
  const marker = exchange.query.get("marker") ?? "";
  const after = marker === "" ? undefined : readMarker(marker, prefix, delimiter);
  const page = listObjectPage(storage, exchange.bucket, { prefix, delimiter, after, maxKeys });
  const body = buildDocument("ListBucketResult", [
    element("Name", exchange.bucket),
    element("Prefix", encode(prefix)),
    element("Marker", encode(marker)),
    page.last && element("NextMarker", encode(page.last.text)),
    ...buildPage(exchange, page, { delimiter, maxKeys, encode, withOwner: true }),
  ]);
  return { status: 200, body };
}

/** ListMultipartUploads. */
export async function listMultipartUploads(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  const { bucket, query } = exchange;
  requireBucket(storage, bucket);
  const { prefix, delimiter, maxKeys, encode } = readListArguments(exchange, "max-uploads");
  const keyMarker = query.get("key-marker") ?? "";
  const uploadIdMarker = query.get("upload-id-marker") ?? "";
  const after = keyMarker === "" ? undefined : readMarker(keyMarker, prefix, delimiter);
  // A key can have many uploads, so a page can begin in the middle of one key's.
  let lastSeen = uploadIdMarker === "" ? undefined : { key: keyMarker, uploadId: uploadIdMarker };
  const page = listKeys({ prefix, delimiter, after, maxKeys }, (range, limit) => {
    const isMidKey = !range.inclusive && range.from === lastSeen?.key;
    const uploads = storage.uploads.list(bucket, range, limit, isMidKey ? lastSeen?.uploadId : undefined);
    lastSeen = uploads.at(-1);
    return uploads;
  });
  const lastUpload = page.rows.at(-1);
  const body = buildDocument("ListMultipartUploadsResult", [
    element("Bucket", bucket),
    element("KeyMarker", encode(keyMarker)),
    element("UploadIdMarker", uploadIdMarker),
    page.last && element("NextKeyMarker", encode(page.last.text)),
    page.last && element("NextUploadIdMarker", page.last.isPrefix ? "" : (lastUpload?.uploadId ?? "")),
    element("Prefix", encode(prefix)),
    delimiter === "" ? undefined : element("Delimiter", encode(delimiter)),
    element("MaxUploads", maxKeys),
    query.get("encoding-type") === "url" ? element("EncodingType", "url") : undefined,
    element("IsTruncated", page.last !== undefined),
    ...page.rows.map((upload) =>
      element("Upload", [
        element("Key", encode(upload.key)),
        element("UploadId", upload.uploadId),
        ownerElement("Initiator"),
        ownerElement(),
        element("StorageClass", "STANDARD"),
        element("Initiated", formatTime(upload.startedMs)),
        upload.checksum && element("ChecksumAlgorithm", upload.checksum.algorithm),
        upload.checksum && element("ChecksumType", upload.checksum.type),
      ]),
    ),
    ...page.commonPrefixes.map((common) => element("CommonPrefixes", [element("Prefix", encode(common))])),
  ]);
  return { status: 200, body };
}

/** Reads a count between 0 and `most` from the query, `most` when it is missing. */
export function readCount(exchange: Exchange, name: string, most: number): number {
  const text = exchange.query.get(name) ?? "";
  if (text === "") return most;
  if (!/^\d{1,10}$/.test(text) || Number(text) > 2 ** 31 - 1) {
    throw s3Error("InvalidArgument", `Argument ${name} must be an integer between 0 and 2147483647`);
  }
  return Math.min(Number(text), most);
}

function readListArguments(exchange: Exchange, countName: string) {
  const { query } = exchange;
  const encodingType = query.get("encoding-type");
  if (encodingType !== undefined && encodingType !== "url") {
    throw s3Error("InvalidArgument", "Invalid Encoding Method specified in Request");
  }
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    maxKeys: readCount(exchange, countName, maxPage),
    encode: (text: string) => (encodingType === "url" ? encodeRfc3986(text).replaceAll("%2F", "/") : text),
  };
}

/** A marker that is itself a rolled-up prefix stands behind everything under it. */
function readMarker(marker: string, prefix: string, delimiter: string): ListPosition {
  const end = delimiter === "" || !marker.startsWith(prefix) ? -1 : marker.indexOf(delimiter, prefix.length);
  return { text: marker, isPrefix: end >= 0 && end === marker.length - delimiter.length };
}

function listObjectPage(storage: Storage, bucket: string, query: Parameters<typeof listKeys>[0]) {
  return listKeys(query, (range, limit) => storage.objects.list(bucket, range, limit));
}

function buildPage(
  exchange: Exchange,
  page: ListPage<StoredObject>,
  options: { delimiter: string; maxKeys: number; encode: (text: string) => string; withOwner: boolean },
): (string | undefined)[] {
  const { delimiter, maxKeys, encode, withOwner } = options;
  return [
    element("MaxKeys", maxKeys),
    delimiter === "" ? undefined : element("Delimiter", encode(delimiter)),
    exchange.query.get("encoding-type") === "url" ? element("EncodingType", "url") : undefined,
    element("IsTruncated", page.last !== undefined),
    ...page.rows.map((object) =>
      element("Contents", [
        element("Key", encode(object.key)),
        element("LastModified", formatTime(object.modifiedMs)),
        element("ETag", `"${object.etag}"`),
        object.attributes.checksum && element("ChecksumAlgorithm", object.attributes.checksum.algorithm),
        object.attributes.checksum && element("ChecksumType", object.attributes.checksum.type),
        element("Size", object.sizeBytes),
        element("StorageClass", "STANDARD"),
        withOwner ? ownerElement() : undefined,
      ]),
    ),
    ...page.commonPrefixes.map((common) => element("CommonPrefixes", [element("Prefix", encode(common))])),
  ];
}

function encodeToken(position: ListPosition): string {
  return Buffer.from(JSON.stringify([position.text, position.isPrefix])).toString("base64url");
}

function decodeToken(token: string): ListPosition {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
    if (Array.isArray(decoded) && typeof decoded[0] === "string" && typeof decoded[1] === "boolean") {
      return { text: decoded[0], isPrefix: decoded[1] };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw s3Error("InvalidArgument", "The continuation token provided is incorrect");
}
