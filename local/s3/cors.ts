import { s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { requireBucket } from "./lookups.ts";
import type { Storage } from "./storage.ts";
import { buildDocument, element } from "./xml.ts";

const methods = ["GET", "PUT", "POST", "DELETE", "HEAD"];
const maxRules = 100;

/** A CORS rule as it is stored. */
interface CorsRule {
  ruleId?: string;
  origins: string[];
  methods: string[];
  headers: string[];
  exposed: string[];
  maxAgeSeconds?: number;
}

/** What a browser asks: by preflight, or by the mere Origin header of an actual request. */
interface CorsQuestion {
  origin: string;
  method: string;
  /** Lower case; empty for an actual request. */
  headers: string[];
}

/** PutBucketCors. */
export async function putCors(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const document = await exchange.receiveDocument("CORSConfiguration", storage);
  const rules = document.children("CORSRule").map((rule): CorsRule => {
    const ruleId = rule.text("ID");
    const maxAge = rule.text("MaxAgeSeconds");
    if (maxAge !== undefined && !/^\d{1,9}$/.test(maxAge)) throw s3Error("MalformedXML");
    return {
      ...(ruleId === undefined ? {} : { ruleId }),
      origins: rule.texts("AllowedOrigin"),
      methods: rule.texts("AllowedMethod"),
      headers: rule.texts("AllowedHeader"),
      exposed: rule.texts("ExposeHeader"),
      ...(maxAge === undefined ? {} : { maxAgeSeconds: Number(maxAge) }),
    };
  });
  if (rules.length === 0 || rules.length > maxRules) throw s3Error("MalformedXML");
  for (const rule of rules) checkRule(rule);
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "cors", JSON.stringify(rules));
  });
  return { status: 200 };
}

/** GetBucketCors. */
export async function getCors(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const rules = readCorsRules(storage, exchange.bucket);
  if (rules.length === 0) throw s3Error("NoSuchCORSConfiguration", undefined, { BucketName: exchange.bucket });
  return { status: 200, body: buildDocument("CORSConfiguration", rules.map(buildCorsRule)) };
}

/** DeleteBucketCors. */
export async function deleteCors(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "cors", null);
  });
  return { status: 204 };
}

/** Answers a preflight request, which by its nature is not signed. */
export function answerPreflight(
  storage: Storage,
  bucket: string,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Answer {
  const origin = headers.origin;
  const method = headers["access-control-request-method"];
  if (typeof origin !== "string" || typeof method !== "string") {
    throw s3Error(
      "InvalidRequest",
      "Insufficient information. Origin and Access-Control-Request-Method headers needed.",
    );
  }
  const requested = String(headers["access-control-request-headers"] ?? "")
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const allowed = buildCorsHeaders(storage, bucket, { origin, method, headers: requested });
  if (!allowed) throw s3Error("AccessForbidden");
  const allowHeaders: Record<string, string> =
    requested.length === 0 ? {} : { "access-control-allow-headers": requested.join(", ") };
  return { status: 200, headers: { ...allowed, ...allowHeaders } };
}

/** The CORS headers of an answer; undefined when no rule of the bucket allows what is asked. */
export function buildCorsHeaders(
  storage: Storage,
  bucket: string,
  question: CorsQuestion,
): Record<string, string> | undefined {
  const rule = readCorsRules(storage, bucket).find(
    (candidate) =>
      candidate.methods.includes(question.method) &&
      candidate.origins.some((pattern) => matchesPattern(pattern, question.origin)) &&
      question.headers.every((name) =>
        candidate.headers.some((pattern) => matchesPattern(pattern.toLowerCase(), name)),
      ),
  );
  if (!rule) return undefined;
  const anyOrigin = rule.origins.includes("*");
  return {
    "access-control-allow-origin": anyOrigin ? "*" : question.origin,
    "access-control-allow-methods": rule.methods.join(", "),
    vary: "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    ...(anyOrigin ? {} : { "access-control-allow-credentials": "true" }),
    ...(rule.exposed.length === 0 ? {} : { "access-control-expose-headers": rule.exposed.join(", ") }),
    ...(rule.maxAgeSeconds === undefined ? {} : { "access-control-max-age": String(rule.maxAgeSeconds) }),
  };
}

function readCorsRules(storage: Storage, bucket: string): CorsRule[] {
  const json = storage.buckets.getSetting(bucket, "cors");
  return json === undefined ? [] : (JSON.parse(json) as CorsRule[]);
}

function checkRule(rule: CorsRule): void {
  if (rule.origins.length === 0 || rule.methods.length === 0) throw s3Error("MalformedXML");
  const unknown = rule.methods.find((method) => !methods.includes(method));
  if (unknown !== undefined) {
    throw s3Error("InvalidRequest", `Found unsupported HTTP method in CORS config. Unsupported method is ${unknown}`);
  }
  const wild = [...rule.origins, ...rule.headers].find((pattern) => pattern.split("*").length > 2);
  if (wild !== undefined) {
    throw s3Error("InvalidRequest", `"${wild}" can not have more than one wildcard.`);
  }
}

/** Compares with a pattern that has at most one `*`. */
function matchesPattern(pattern: string, text: string): boolean {
  const star = pattern.indexOf("*");
  if (star < 0) return pattern === text;
  return (
    text.length >= pattern.length - 1 &&
    text.startsWith(pattern.slice(0, star)) &&
    text.endsWith(pattern.slice(star + 1))
  );
}

function buildCorsRule(rule: CorsRule): string {
  const list = (name: string, values: string[]) => values.map((value) => element(name, value));
  return element("CORSRule", [
    rule.ruleId === undefined ? undefined : element("ID", rule.ruleId),
    ...list("AllowedOrigin", rule.origins),
    ...list("AllowedMethod", rule.methods),
    ...list("AllowedHeader", rule.headers),
    ...list("ExposeHeader", rule.exposed),
    rule.maxAgeSeconds === undefined ? undefined : element("MaxAgeSeconds", rule.maxAgeSeconds),
  ]);
}
