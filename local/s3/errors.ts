import { buildDocument, element } from "./xml.ts";

/** Every error code the server answers with: HTTP status and the sentence AWS (or, for 501 and 507, this server) gives. */
const table = {
  AccessDenied: [403, "Access Denied"],
  AccessForbidden: [403, "CORSResponse: This CORS request is not allowed."],
  BadDigest: [400, "The Content-MD5 or checksum value that you specified did not match what the server received."],
  BadRequest: [400, "Bad Request"],
  BucketAlreadyOwnedByYou: [409, "Your previous request to create the named bucket succeeded and you already own it."],
  BucketNotEmpty: [409, "The bucket you tried to delete is not empty."],
  EntityTooLarge: [400, "Your proposed upload exceeds the maximum allowed object size."],
  EntityTooSmall: [400, "Your proposed upload is smaller than the minimum allowed size."],
  IllegalLocationConstraintException: [
    400,
    "The specified location constraint is not valid for this endpoint's region.",
  ],
  IncompleteBody: [400, "You did not provide the number of bytes specified by the Content-Length HTTP header."],
  InsufficientStorage: [507, "The disk that holds the data folder is full. Free some space and try again."],
  InternalError: [500, "The embedded S3 server failed to answer this request. Its log says why."],
  InvalidArgument: [400, "Invalid Argument"],
  InvalidBucketName: [400, "The specified bucket is not valid."],
  InvalidDigest: [400, "The Content-MD5 or checksum value that you specified is not valid."],
  InvalidPart: [
    400,
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
  ],
  InvalidPartNumber: [416, "The requested partnumber is not satisfiable."],
  InvalidPartOrder: [
    400,
    "The list of parts was not in ascending order. The parts list must be specified in order by part number.",
  ],
  InvalidRange: [416, "The requested range is not satisfiable."],
  InvalidRequest: [400, "Invalid Request"],
  InvalidTag: [400, "The tag provided was not a valid tag."],
  InvalidURI: [400, "Couldn't parse the specified URI."],
  KeyTooLongError: [400, "Your key is too long. It may have at most 1024 bytes."],
  MalformedXML: [400, "The XML you provided was not well-formed or did not validate against our published schema."],
  MetadataTooLarge: [400, "Your metadata headers exceed the maximum allowed metadata size of 2 KB."],
  MethodNotAllowed: [405, "The specified method is not allowed against this resource."],
  MissingContentLength: [411, "You must provide the Content-Length HTTP header."],
  MissingRequestBodyError: [400, "Request body is empty."],
  NoSuchBucket: [404, "The specified bucket does not exist."],
  NoSuchCORSConfiguration: [404, "The CORS configuration does not exist."],
  NoSuchKey: [404, "The specified key does not exist."],
  NoSuchLifecycleConfiguration: [404, "The lifecycle configuration does not exist."],
  NoSuchTagSet: [404, "The TagSet does not exist."],
  NoSuchUpload: [
    404,
    "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.",
  ],
  NotImplemented: [501, "The embedded S3 server does not implement this."],
  PreconditionFailed: [412, "At least one of the preconditions you specified did not hold."],
  XAmzContentSHA256Mismatch: [400, "The provided 'x-amz-content-sha256' header does not match what was computed."],
} as const satisfies Record<string, readonly [number, string]>;

/** A code of the table above, or one that the signature check reports. */
export type S3ErrorCode = keyof typeof table;

/** A refusal in S3's terms. Thrown by the operations, caught in one place, where it becomes the XML error document. */
export class S3Error extends Error {
  readonly code: string;
  readonly status: number;
  /** Further elements of the error document, for example `Condition`. */
  readonly details: Readonly<Record<string, string>>;

  constructor(code: string, status: number, message: string, details: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** The error for a code, with the table's message unless another one says it better. */
export function s3Error(code: S3ErrorCode, message?: string, details?: Readonly<Record<string, string>>): S3Error {
  const [status, text] = table[code];
  return new S3Error(code, status, message ?? text, details);
}

/** The 501 for something this server does not do: `what` names the operation, header or parameter. */
export function notImplemented(what: string): S3Error {
  return s3Error("NotImplemented", `The embedded S3 server does not implement ${what}.`);
}

/** The XML error document for a refusal of `resource` (the request's path). */
export function buildErrorDocument(error: S3Error, resource: string, requestId: string): string {
  return buildDocument("Error", [
    element("Code", error.code),
    element("Message", error.message),
    ...Object.entries(error.details).map(([name, value]) => element(name, value)),
    element("Resource", resource),
    element("RequestId", requestId),
  ]);
}
