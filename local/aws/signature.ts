import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { decodePercent, encodeRfc3986, parseQuery } from "./encoding.ts";

/** The key pair an embedded server accepts. */
export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

/** What a signature covers: the request as it came over the wire. `bodySha256` is hex, of the whole body. */
export interface SignedRequest {
  method: string;
  /** Path and query exactly as received (`IncomingMessage.url`). */
  url: string;
  headers: IncomingHttpHeaders;
  bodySha256?: string;
}

/** Who may sign, for which service and region; `now` replaces the clock. */
export interface SignatureContext {
  credentials: Credentials;
  service: "sqs" | "s3" | "ecr";
  region: string;
  now?: Date;
}

/** What the signature says about the body. A `sha256` still has to be compared with the body by whoever reads it. */
export type SignedPayload =
  | { kind: "unsigned" }
  | { kind: "sha256"; sha256: string }
  | { kind: "chunked"; signed: boolean; trailer: boolean };

/** What is needed to check the signatures inside an aws-chunked body; `seed` is the request's own signature. */
export interface ChunkSigning {
  signingKey: KeyObject;
  amzDate: string;
  scope: string;
  seed: string;
}

/** A refusal as AWS words it; `status` is the HTTP status S3 answers with. */
export interface SignatureRefusal {
  ok: false;
  code: string;
  message: string;
  status: number;
}

/** The outcome of a check. */
export type SignatureResult =
  | { ok: true; presigned: boolean; payload: SignedPayload; chunkSigning: ChunkSigning }
  | SignatureRefusal;

const algorithm = "AWS4-HMAC-SHA256";
const maxSkewMs = 15 * 60_000;
const maxExpiresSeconds = 7 * 24 * 3600;
const emptySha256 = hash("sha256", "");

/** The parts of a signature, whether they came in the Authorization header or in the query. */
interface Claim {
  presigned: boolean;
  accessKeyId: string;
  day: string;
  region: string;
  service: string;
  amzDate: string;
  timeMs: number;
  expiresSeconds: number;
  signedHeaders: string[];
  signature: string;
}

/** Checks a Signature Version 4, in the header form or the presigned query form; an unsigned request is refused. */
export async function verifySignature(request: SignedRequest, context: SignatureContext): Promise<SignatureResult> {
  const mark = request.url.indexOf("?");
  const path = mark < 0 ? request.url : request.url.slice(0, mark);
  const query = mark < 0 ? [] : parseQuery(request.url.slice(mark + 1));
  const claim = readClaim(request.headers, query, context);
  if ("ok" in claim) return claim;
  const refusal = checkScope(claim, context) ?? checkTime(claim, context);
  if (refusal) return refusal;
  const payload = readPayload(request, query, claim, context);
  if ("ok" in payload) return payload;

  const unsigned = findUnsignedHeader(request.headers, claim);
  if (unsigned !== undefined) {
    return refuse("AccessDenied", `There were headers present in the request which were not signed: ${unsigned}`, 403);
  }
  const canonicalRequest = [
    request.method,
    context.service === "s3" ? encodePathOnce(path) : encodePathTwice(path),
    canonicalQuery(query),
    ...claim.signedHeaders.map((name) => `${name}:${canonicalHeader(request.headers[name])}`),
    "",
    claim.signedHeaders.join(";"),
    payload.canonical,
  ].join("\n");
  const scope = `${claim.day}/${claim.region}/${claim.service}/aws4_request`;
  const signingKey = deriveSigningKey(context.credentials.secretAccessKey, claim.day, claim.region, claim.service);
  // Node hands header values over as latin1; as latin1 they are again the bytes that the client signed.
  const canonicalSha256 = hash("sha256", Buffer.from(canonicalRequest, "latin1"));
  const stringToSign = `${algorithm}\n${claim.amzDate}\n${scope}\n${canonicalSha256}`;
  if (!equalsHmac(signingKey, stringToSign, claim.signature)) {
    return refuse(
      "SignatureDoesNotMatch",
      "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
      403,
    );
  }
  // Only now: whoever cannot sign learns nothing about the comparison of the body.
  const { sha256 } = payload;
  if (sha256 !== undefined && request.bodySha256 !== undefined && sha256 !== request.bodySha256) {
    return refuse(
      "XAmzContentSHA256Mismatch",
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
      400,
    );
  }
  const chunkSigning = { signingKey, amzDate: claim.amzDate, scope, seed: claim.signature };
  return { ok: true, presigned: claim.presigned, payload: payload.payload, chunkSigning };
}

/** Compares `signature` (hex) with the HMAC-SHA256 of `text` in constant time. */
export function equalsHmac(key: KeyObject, text: string, signature: string): boolean {
  const expected = createHmac("sha256", key).update(text).digest();
  const given = Buffer.from(signature, "hex");
  return signature.length === 64 && given.length === expected.length && timingSafeEqual(given, expected);
}

function refuse(code: string, message: string, status: number): SignatureRefusal {
  return { ok: false, code, message, status };
}

function readClaim(
  headers: IncomingHttpHeaders,
  query: [string, string][],
  context: SignatureContext,
): Claim | SignatureRefusal {
  const authorization = headers.authorization;
  const parameters = new Map(query);
  const inQuery = parameters.has("X-Amz-Signature") || parameters.has("X-Amz-Algorithm");
  if (authorization !== undefined && inQuery) {
    return refuse("InvalidArgument", "Only one auth mechanism allowed; use the header or the query, not both.", 400);
  }
  if (inQuery) return readQueryClaim(parameters);
  if (authorization !== undefined) return readHeaderClaim(authorization, headers, context);
  return context.service === "s3"
    ? refuse("AccessDenied", "Access Denied: the request is not signed.", 403)
    : refuse("MissingAuthenticationToken", "Request is missing Authentication Token", 403);
}

function readHeaderClaim(
  authorization: string,
  headers: IncomingHttpHeaders,
  context: SignatureContext,
): Claim | SignatureRefusal {
  const malformed = context.service === "s3" ? "AuthorizationHeaderMalformed" : "IncompleteSignature";
  if (!authorization.startsWith(`${algorithm} `)) {
    return refuse("InvalidRequest", `The authorization mechanism is not supported. Please use ${algorithm}.`, 400);
  }
  const fields = new Map<string, string>();
  for (const field of authorization.slice(algorithm.length + 1).split(",")) {
    const equals = field.indexOf("=");
    if (equals > 0) fields.set(field.slice(0, equals).trim(), field.slice(equals + 1).trim());
  }
  const amzDate = singleHeader(headers["x-amz-date"]) ?? toAmzDate(headers.date);
  const claim = buildClaim(
    fields.get("Credential"),
    amzDate,
    fields.get("SignedHeaders"),
    fields.get("Signature"),
    undefined,
  );
  return (
    claim ?? refuse(malformed, "The authorization header is malformed, or its date is missing or not its scope's.", 400)
  );
}

function readQueryClaim(parameters: Map<string, string>): Claim | SignatureRefusal {
  const code = "AuthorizationQueryParametersError";
  if (parameters.get("X-Amz-Algorithm") !== algorithm) {
    return refuse(code, `X-Amz-Algorithm only supports "${algorithm}"`, 400);
  }
  const expires = parameters.get("X-Amz-Expires") ?? "";
  if (!/^\d{1,9}$/.test(expires)) return refuse(code, "X-Amz-Expires should be a number of seconds", 400);
  if (Number(expires) > maxExpiresSeconds || Number(expires) < 1) {
    return refuse(code, "X-Amz-Expires must be at least one second and less than a week (604800 seconds)", 400);
  }
  const claim = buildClaim(
    parameters.get("X-Amz-Credential"),
    parameters.get("X-Amz-Date"),
    parameters.get("X-Amz-SignedHeaders"),
    parameters.get("X-Amz-Signature"),
    Number(expires),
  );
  return (
    claim ??
    refuse(
      code,
      "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.",
      400,
    )
  );
}

function buildClaim(
  credential: string | undefined,
  amzDate: string | undefined,
  signedHeaders: string | undefined,
  signature: string | undefined,
  expiresSeconds: number | undefined,
): Claim | undefined {
  const scope = credential === undefined ? null : /^(.+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request$/.exec(credential);
  const time = amzDate === undefined ? null : /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate);
  if (!scope || !time || !signedHeaders || !signature || amzDate === undefined) return undefined;
  const [, accessKeyId = "", day = "", region = "", service = ""] = scope;
  if (!amzDate.startsWith(day)) return undefined;
  return {
    presigned: expiresSeconds !== undefined,
    accessKeyId,
    day,
    region,
    service,
    amzDate,
    timeMs: Date.parse(`${time[1]}-${time[2]}-${time[3]}T${time[4]}:${time[5]}:${time[6]}Z`),
    expiresSeconds: expiresSeconds ?? 0,
    signedHeaders: signedHeaders.toLowerCase().split(";"),
    signature,
  };
}

function checkScope(claim: Claim, context: SignatureContext): SignatureRefusal | undefined {
  const s3 = context.service === "s3";
  if (claim.accessKeyId !== context.credentials.accessKeyId) {
    return s3
      ? refuse("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403)
      : refuse("InvalidClientTokenId", "The security token included in the request is invalid.", 403);
  }
  const wrong =
    claim.region !== context.region
      ? `the region '${claim.region}' is wrong; expecting '${context.region}'`
      : claim.service !== context.service
        ? `the service '${claim.service}' is wrong; expecting '${context.service}'`
        : undefined;
  if (wrong === undefined) return undefined;
  if (!s3) return refuse("SignatureDoesNotMatch", `Credential scope is wrong: ${wrong}`, 403);
  const code = claim.presigned ? "AuthorizationQueryParametersError" : "AuthorizationHeaderMalformed";
  return refuse(code, `The authorization is malformed; ${wrong}`, 400);
}

function checkTime(claim: Claim, context: SignatureContext): SignatureRefusal | undefined {
  const nowMs = (context.now ?? new Date()).getTime();
  // An impossible calendar time parses to NaN; written so that NaN is refused as well.
  if (claim.presigned) {
    if (!(claim.timeMs <= nowMs + maxSkewMs)) return refuse("AccessDenied", "Request is not valid yet", 403);
    if (!(nowMs <= claim.timeMs + claim.expiresSeconds * 1000)) {
      return refuse("AccessDenied", "Request has expired", 403);
    }
    return undefined;
  }
  if (Math.abs(claim.timeMs - nowMs) <= maxSkewMs) return undefined;
  return refuse(
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large (more than 15 minutes).",
    403,
  );
}

/** `canonical` is the line of the canonical request; `sha256` is set where the body itself was hashed. */
interface PayloadClaim {
  payload: SignedPayload;
  canonical: string;
  sha256?: string;
}

function readPayload(
  request: SignedRequest,
  query: [string, string][],
  claim: Claim,
  context: SignatureContext,
): PayloadClaim | SignatureRefusal {
  let canonical = singleHeader(request.headers["x-amz-content-sha256"]);
  if (claim.presigned && context.service === "s3") {
    canonical = query.find(([name]) => name === "X-Amz-Content-Sha256")?.[1] ?? canonical ?? "UNSIGNED-PAYLOAD";
  }
  if (canonical === undefined) {
    if (context.service === "s3") {
      return refuse("InvalidRequest", "Missing required header for this request: x-amz-content-sha256", 400);
    }
    canonical = request.bodySha256 ?? emptySha256;
  }
  const payload = parsePayload(canonical);
  if (payload === undefined || (context.service !== "s3" && payload.kind !== "sha256")) {
    return refuse(
      "InvalidArgument",
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER), STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.",
      400,
    );
  }
  return payload.kind === "sha256" ? { payload, canonical, sha256: payload.sha256 } : { payload, canonical };
}

function parsePayload(value: string): SignedPayload | undefined {
  switch (value) {
    case "UNSIGNED-PAYLOAD":
      return { kind: "unsigned" };
    case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
      return { kind: "chunked", signed: false, trailer: true };
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
      return { kind: "chunked", signed: true, trailer: false };
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
      return { kind: "chunked", signed: true, trailer: true };
    default:
      return /^[0-9a-f]{64}$/.test(value) ? { kind: "sha256", sha256: value } : undefined;
  }
}

/** `host` and every `x-amz-*` header have to be covered, or a header could be added to a signed request on its way. */
function findUnsignedHeader(headers: IncomingHttpHeaders, claim: Claim): string | undefined {
  const covered = claim.signedHeaders;
  if (!covered.includes("host")) return "host";
  for (const name in headers) {
    // A presigned request names its payload in the query; clients may repeat it in this header.
    if (claim.presigned && name === "x-amz-content-sha256") continue;
    if (name.startsWith("x-amz-") && !covered.includes(name)) return name;
  }
  return undefined;
}

const derivedKeys = new Map<string, KeyObject>();
const maxDerivedKeys = 16;

/** One key serves a service for a whole day. A key object is several times faster than its bytes. */
function deriveSigningKey(secret: string, day: string, region: string, service: string): KeyObject {
  const id = `${secret}\n${day}\n${region}\n${service}`;
  const known = derivedKeys.get(id);
  if (known) return known;
  let bytes: Buffer = Buffer.from(`AWS4${secret}`);
  for (const part of [day, region, service, "aws4_request"]) bytes = createHmac("sha256", bytes).update(part).digest();
  const key = createSecretKey(bytes);
  if (derivedKeys.size >= maxDerivedKeys) derivedKeys.clear();
  derivedKeys.set(id, key);
  return key;
}

function canonicalQuery(query: [string, string][]): string {
  return query
    .filter(([name]) => name !== "X-Amz-Signature")
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compareText(nameA, nameB) || compareText(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join("&");
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** S3 keeps the path's segments, `//` and `..` included, and encodes each character once. */
function encodePathOnce(path: string): string {
  return path
    .split("/")
    .map((segment) => encodeRfc3986(decodePercent(segment)))
    .join("/");
}

/** Every other service resolves `.` and `..` and encodes what is already encoded. */
function encodePathTwice(path: string): string {
  if (path === "/") return path;
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  const trailing = segments.length > 0 && path.endsWith("/") ? "/" : "";
  return `/${segments.map(encodeRfc3986).join("/")}${trailing}`;
}

function canonicalHeader(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join(",") : (value ?? "");
  return text.trim().replace(/ {2,}/g, " ");
}

function singleHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function toAmzDate(date: string | undefined): string | undefined {
  const timeMs = date === undefined ? Number.NaN : Date.parse(date);
  if (Number.isNaN(timeMs)) return undefined;
  return `${new Date(timeMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
}
