import { parseQuery } from "../aws/encoding.ts";
import { checksumHeader } from "./checksums.ts";
import { notImplemented, s3Error } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { ObjectAttributes, StoredObject, Tag } from "./model.ts";

const storedHeaders = ["cache-control", "content-disposition", "content-language", "expires"] as const;
/** `response-…` query parameters that replace a header of the answer. */
const overridable = [...storedHeaders, "content-type", "content-encoding"] as const;
const maxMetadataBytes = 2048;
const maxTags = 10;
/** The characters S3 allows in tags. */
const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** Reads what a writing request says about its object: content headers and metadata. */
export function readAttributes(exchange: Exchange): ObjectAttributes {
  refuseUnsupportedHeaders(exchange);
  const headers: Record<string, string> = {
    "content-type": exchange.header("content-type") || "binary/octet-stream",
  };
  for (const name of storedHeaders) {
    const value = exchange.header(name);
    if (value !== undefined) headers[name] = value;
  }
  // "aws-chunked" describes the transfer, not the object.
  const encoding = (exchange.header("content-encoding") ?? "")
    .split(",")
    .map((coding) => coding.trim())
    .filter((coding) => coding !== "" && coding !== "aws-chunked")
    .join(",");
  if (encoding !== "") headers["content-encoding"] = encoding;
  const storageClass = exchange.header("x-amz-storage-class") ?? "STANDARD";
  if (storageClass !== "STANDARD") throw notImplemented(`the storage class ${storageClass}`);
  const metadata = exchange.readMetadata();
  const metadataBytes = Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (metadataBytes > maxMetadataBytes) throw s3Error("MetadataTooLarge");
  return { headers, metadata };
}

/** Headers that promise something this server would silently not do. */
function refuseUnsupportedHeaders(exchange: Exchange): void {
  const acl = exchange.header("x-amz-acl") ?? "private";
  if (!["private", "bucket-owner-full-control"].includes(acl)) throw notImplemented(`the canned ACL ${acl}`);
  const encryption = exchange.header("x-amz-server-side-encryption") ?? "AES256";
  if (encryption !== "AES256") throw notImplemented(`server-side encryption with ${encryption}`);
  const unsupported = [
    "x-amz-grant-full-control",
    "x-amz-grant-read",
    "x-amz-grant-read-acp",
    "x-amz-grant-write-acp",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
  ];
  const found = unsupported.find((name) => exchange.header(name) !== undefined);
  if (found !== undefined) throw notImplemented(`the header ${found}`);
}

/** Reads the tags of an `x-amz-tagging` header, which is a query string. */
export function readTaggingHeader(exchange: Exchange): Tag[] {
  const header = exchange.header("x-amz-tagging");
  return header === undefined ? [] : checkTags(parseQuery(header).map(([key, value]) => ({ key, value })));
}

/** Gives the tags back if they keep to S3's limits. */
export function checkTags(tags: Tag[], limit = maxTags): Tag[] {
  if (tags.length > limit) throw s3Error("BadRequest", `Tags cannot be greater than ${limit}`);
  if (new Set(tags.map(({ key }) => key)).size !== tags.length) {
    throw s3Error("InvalidTag", "Cannot provide multiple Tags with the same key");
  }
  for (const { key, value } of tags) {
    if (key === "" || [...key].length > 128 || !tagText.test(key) || key.startsWith("aws:"))
      throw s3Error("InvalidTag", "The TagKey you have provided is invalid");
    if ([...value].length > 256 || !tagText.test(value))
      throw s3Error("InvalidTag", "The TagValue you have provided is invalid");
  }
  return tags;
}

/** The headers that describe an object when it is read. `isWhole`: the answer carries all of its bytes. */
export function buildObjectHeaders(object: StoredObject, exchange: Exchange, isWhole: boolean): Record<string, string> {
  const { attributes } = object;
  const headers: Record<string, string> = {
    ...attributes.headers,
    etag: `"${object.etag}"`,
    "last-modified": new Date(object.modifiedMs).toUTCString(),
    "accept-ranges": "bytes",
  };
  for (const [name, value] of Object.entries(attributes.metadata)) headers[`x-amz-meta-${name}`] = value;
  if (object.tags.length > 0) headers["x-amz-tagging-count"] = String(object.tags.length);
  const { checksum } = attributes;
  // A client would hold the checksum of the object against the bytes of the range.
  if (checksum && isWhole && exchange.header("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
    headers[checksumHeader(checksum.algorithm)] = checksum.value;
    headers["x-amz-checksum-type"] = checksum.type;
  }
  for (const name of overridable) {
    const value = exchange.queryHeader(`response-${name}`);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}
