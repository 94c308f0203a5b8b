import { decodePercent } from "../aws/encoding.ts";
import { s3Error } from "./errors.ts";

/** The operations the server knows, by the names of the S3 API (which are also the names fault rules use). */
export type OperationName =
  | "ListBuckets"
  | "CreateBucket"
  | "HeadBucket"
  | "DeleteBucket"
  | "GetBucketLocation"
  | "GetBucketLifecycleConfiguration"
  | "PutBucketLifecycleConfiguration"
  | "DeleteBucketLifecycle"
  | "GetBucketCors"
  | "PutBucketCors"
  | "DeleteBucketCors"
  | "GetBucketTagging"
  | "PutBucketTagging"
  | "DeleteBucketTagging"
  | "ListObjects"
  | "ListObjectsV2"
  | "ListMultipartUploads"
  | "DeleteObjects"
  | "PutObject"
  | "CopyObject"
  | "GetObject"
  | "HeadObject"
  | "DeleteObject"
  | "GetObjectTagging"
  | "PutObjectTagging"
  | "DeleteObjectTagging"
  | "CreateMultipartUpload"
  | "UploadPart"
  | "UploadPartCopy"
  | "ListParts"
  | "CompleteMultipartUpload"
  | "AbortMultipartUpload";

/** What a request's address means: empty names where it is about the whole service or a whole bucket. */
export interface Target {
  bucket: string;
  key: string;
}

/** Which operation a request asks for, or a description of what this server does not do. */
export type Resolution = { operation: OperationName } | { unsupported: string };

const maxKeyBytes = 1024;

/**
 * Reads bucket and key out of a path (as received, still encoded) and the Host header. Both styles are understood:
 * `/bucket/key`, and `bucket.localhost:port` with `/key`. Slashes and dots in keys are kept as they are.
 */
export function parseTarget(path: string, host: string | undefined): Target {
  const virtual = /^([a-z0-9][a-z0-9.-]*)\.localhost(?::\d+)?$/.exec(host ?? "")?.[1];
  const rest = path.startsWith("/") ? path.slice(1) : path;
  const slash = rest.indexOf("/");
  const bucket = virtual ?? decodeStrictly(slash < 0 ? rest : rest.slice(0, slash));
  const key = virtual !== undefined ? decodeStrictly(rest) : slash < 0 ? "" : decodeStrictly(rest.slice(slash + 1));
  if (Buffer.byteLength(key) > maxKeyBytes) throw s3Error("KeyTooLongError");
  return { bucket, key };
}

/** Reads the value of an `x-amz-copy-source` header: `/bucket/key` or `bucket/key`, percent-encoded. */
export function parseCopySource(header: string): Target {
  const [path = "", query = ""] = header.split("?versionId=");
  const target = parseTarget(path.startsWith("/") ? path : `/${path}`, undefined);
  if (target.bucket === "" || target.key === "") {
    throw s3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey");
  }
  if (query !== "" && query !== "null") throw s3Error("NotImplemented", "The embedded S3 server keeps no versions.");
  return target;
}

function decodeStrictly(text: string): string {
  const decoded = decodePercent(text);
  // What cannot be decoded is no UTF-8, and so no key.
  if (decoded === text && text.includes("%")) throw s3Error("InvalidURI");
  return decoded;
}

/** Query parameters that select a sub-resource in the S3 API; all others are arguments of the plain operation. */
const subresources = new Set([
  "abac",
  "accelerate",
  "acl",
  "analytics",
  "attributes",
  "cors",
  "delete",
  "encryption",
  "intelligent-tiering",
  "inventory",
  "legal-hold",
  "lifecycle",
  "list-type",
  "location",
  "logging",
  "metadataConfiguration",
  "metadataTable",
  "metrics",
  "notification",
  "object-lock",
  "ownershipControls",
  "partNumber",
  "policy",
  "policyStatus",
  "publicAccessBlock",
  "renameObject",
  "replication",
  "requestPayment",
  "restore",
  "retention",
  "select",
  "session",
  "tagging",
  "torrent",
  "uploadId",
  "uploads",
  "versioning",
  "versions",
  "website",
]);

/** `METHOD scope?subresource,…` with the sub-resources sorted. */
const operations: Readonly<Record<string, OperationName>> = {
  "GET service": "ListBuckets",
  "PUT bucket": "CreateBucket",
  "HEAD bucket": "HeadBucket",
  "DELETE bucket": "DeleteBucket",
  "GET bucket": "ListObjects",
  "GET bucket?list-type": "ListObjectsV2",
  "GET bucket?location": "GetBucketLocation",
  "GET bucket?lifecycle": "GetBucketLifecycleConfiguration",
  "PUT bucket?lifecycle": "PutBucketLifecycleConfiguration",
  "DELETE bucket?lifecycle": "DeleteBucketLifecycle",
  "GET bucket?cors": "GetBucketCors",
  "PUT bucket?cors": "PutBucketCors",
  "DELETE bucket?cors": "DeleteBucketCors",
  "GET bucket?tagging": "GetBucketTagging",
  "PUT bucket?tagging": "PutBucketTagging",
  "DELETE bucket?tagging": "DeleteBucketTagging",
  "GET bucket?uploads": "ListMultipartUploads",
  "POST bucket?delete": "DeleteObjects",
  "PUT object": "PutObject",
  "GET object": "GetObject",
  "GET object?partNumber": "GetObject",
  "HEAD object": "HeadObject",
  "HEAD object?partNumber": "HeadObject",
  "DELETE object": "DeleteObject",
  "GET object?tagging": "GetObjectTagging",
  "PUT object?tagging": "PutObjectTagging",
  "DELETE object?tagging": "DeleteObjectTagging",
  "POST object?uploads": "CreateMultipartUpload",
  "PUT object?partNumber,uploadId": "UploadPart",
  "GET object?uploadId": "ListParts",
  "POST object?uploadId": "CompleteMultipartUpload",
  "DELETE object?uploadId": "AbortMultipartUpload",
};

/** Finds the operation for a method, a target and the names of the query's parameters. */
export function resolveOperation(
  method: string,
  target: Target,
  query: ReadonlyMap<string, string>,
  hasCopySource: boolean,
): Resolution {
  const scope = target.bucket === "" ? "service" : target.key === "" ? "bucket" : "object";
  const selected = [...query.keys()].filter((name) => subresources.has(name)).sort();
  const request = `${method} ${scope}${selected.length === 0 ? "" : `?${selected.join(",")}`}`;
  const versionId = query.get("versionId") ?? "null";
  if (versionId !== "null") return { unsupported: "versions of objects (versionId)" };
  const operation = operations[request];
  if (operation === undefined) return { unsupported: `the request "${request}"` };
  if (hasCopySource && operation === "PutObject") return { operation: "CopyObject" };
  if (hasCopySource && operation === "UploadPart") return { operation: "UploadPartCopy" };
  return { operation };
}
