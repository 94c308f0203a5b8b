import { notImplemented, s3Error } from "./errors.ts";
import type { Answer, Exchange, S3Context } from "./exchange.ts";
import { requireBucket } from "./lookups.ts";
import type { StoredObject, StoredUpload, Tag } from "./model.ts";
import type { Storage } from "./storage.ts";
import { buildDocument, element, type XmlElement } from "./xml.ts";

const dayMs = 24 * 60 * 60 * 1000;
const maxRules = 1000;

/** A lifecycle rule as it is stored. All conditions have to hold. */
export interface LifecycleRule {
  ruleId: string;
  isEnabled: boolean;
  /** The prefix stands in the rule itself, as in the old form of the document, not in a filter. */
  isOldForm: boolean;
  prefix: string;
  tags: Tag[];
  sizeAboveBytes?: number;
  sizeBelowBytes?: number;
  expireDays?: number;
  expireAtMs?: number;
  abortDays?: number;
}

type Expirable = Pick<StoredObject, "key" | "sizeBytes" | "modifiedMs" | "tags">;

/** PutBucketLifecycleConfiguration: replaces all rules; the sweep follows at once. */
export async function putLifecycle(exchange: Exchange, context: S3Context): Promise<Answer> {
  const { storage } = context;
  requireBucket(storage, exchange.bucket);
  const document = await exchange.receiveDocument("LifecycleConfiguration", storage);
  const rules = document.children("Rule").map(parseRule);
  if (rules.length === 0 || rules.length > maxRules) throw s3Error("MalformedXML");
  if (new Set(rules.map(({ ruleId }) => ruleId)).size !== rules.length) {
    throw s3Error("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule");
  }
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "lifecycle", JSON.stringify(rules));
  });
  context.onLifecycleChange();
  return { status: 200 };
}

/** GetBucketLifecycleConfiguration. */
export async function getLifecycle(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  requireBucket(storage, exchange.bucket);
  const rules = readRules(storage, exchange.bucket);
  if (rules.length === 0) throw s3Error("NoSuchLifecycleConfiguration");
  return { status: 200, body: buildDocument("LifecycleConfiguration", rules.map(buildRule)) };
}

/** DeleteBucketLifecycle. */
export async function deleteLifecycle(exchange: Exchange, { storage }: S3Context): Promise<Answer> {
  await storage.write(() => {
    requireBucket(storage, exchange.bucket);
    storage.buckets.putSetting(exchange.bucket, "lifecycle", null);
  });
  return { status: 204 };
}

/** The rules of a bucket; none when it has no configuration. */
export function readRules(storage: Storage, bucket: string): LifecycleRule[] {
  const json = storage.buckets.getSetting(bucket, "lifecycle");
  return json === undefined ? [] : (JSON.parse(json) as LifecycleRule[]);
}

/** The `x-amz-expiration` header of an object, where a rule will remove it. */
export function buildExpirationHeader(
  storage: Storage,
  object: Expirable & { bucket: string },
): Record<string, string> {
  let earliest: { rule: LifecycleRule; atMs: number } | undefined;
  for (const rule of readRules(storage, object.bucket)) {
    const atMs = findExpiry(rule, object);
    if (atMs !== undefined && (earliest === undefined || atMs < earliest.atMs)) earliest = { rule, atMs };
  }
  if (!earliest) return {};
  const date = new Date(earliest.atMs).toUTCString();
  return { "x-amz-expiration": `expiry-date="${date}", rule-id="${encodeURIComponent(earliest.rule.ruleId)}"` };
}

/** When a rule removes an object, in milliseconds since the epoch; undefined when it does not concern it. */
export function findExpiry(rule: LifecycleRule, object: Expirable): number | undefined {
  const { expireDays, expireAtMs, sizeAboveBytes = -1, sizeBelowBytes = Number.POSITIVE_INFINITY } = rule;
  const concerns =
    rule.isEnabled &&
    object.key.startsWith(rule.prefix) &&
    object.sizeBytes > sizeAboveBytes &&
    object.sizeBytes < sizeBelowBytes &&
    rule.tags.every((wanted) => object.tags.some(({ key, value }) => key === wanted.key && value === wanted.value));
  if (!concerns) return undefined;
  if (expireAtMs !== undefined) return expireAtMs;
  return expireDays === undefined ? undefined : roundUpToDay(object.modifiedMs + expireDays * dayMs);
}

/** When a rule gives up on an open upload; undefined when it does not concern it. */
export function findAbort(rule: LifecycleRule, upload: Pick<StoredUpload, "key" | "startedMs">): number | undefined {
  if (!rule.isEnabled || rule.abortDays === undefined || !upload.key.startsWith(rule.prefix)) return undefined;
  return roundUpToDay(upload.startedMs + rule.abortDays * dayMs);
}

/** S3 counts days and then waits for the next midnight UTC. */
function roundUpToDay(timeMs: number): number {
  return Math.ceil(timeMs / dayMs) * dayMs;
}

function parseRule(rule: XmlElement, index: number): LifecycleRule {
  const unsupported = ["Transition", "NoncurrentVersionTransition", "NoncurrentVersionExpiration"];
  const found = unsupported.find((name) => rule.child(name));
  if (found !== undefined) throw notImplemented(`the lifecycle action ${found}`);
  const status = rule.text("Status");
  const filter = rule.child("Filter");
  const oldPrefix = rule.text("Prefix");
  if (status !== "Enabled" && status !== "Disabled") throw s3Error("MalformedXML");
  if ((filter === undefined) === (oldPrefix === undefined)) throw s3Error("MalformedXML");
  const ruleId = rule.text("ID") || `rule-${index + 1}`;
  if (ruleId.length > 255) throw s3Error("InvalidArgument", "ID length should not exceed allowed limit of 255");
  const parsed: LifecycleRule = {
    ruleId,
    isEnabled: status === "Enabled",
    isOldForm: oldPrefix !== undefined,
    ...parseConditions(filter?.child("And") ?? filter, oldPrefix),
    ...parseActions(rule),
  };
  if (parsed.abortDays !== undefined && (parsed.tags.length > 0 || parsed.sizeAboveBytes || parsed.sizeBelowBytes)) {
    throw s3Error("InvalidRequest", "AbortIncompleteMultipartUpload cannot be specified with Tags or sizes");
  }
  return parsed;
}

function parseConditions(filter: XmlElement | undefined, oldPrefix: string | undefined) {
  const tags = (filter?.children("Tag") ?? []).map((tag) => ({
    key: tag.text("Key") ?? "",
    value: tag.text("Value") ?? "",
  }));
  const sizeAboveBytes = parseCount(filter?.text("ObjectSizeGreaterThan"), 0);
  const sizeBelowBytes = parseCount(filter?.text("ObjectSizeLessThan"), 1);
  return {
    prefix: oldPrefix ?? filter?.text("Prefix") ?? "",
    tags,
    ...(sizeAboveBytes === undefined ? {} : { sizeAboveBytes }),
    ...(sizeBelowBytes === undefined ? {} : { sizeBelowBytes }),
  };
}

function parseActions(rule: XmlElement) {
  const expiration = rule.child("Expiration");
  const date = expiration?.text("Date");
  const expireAtMs = date === undefined ? undefined : Date.parse(date);
  const expireDays = parseCount(expiration?.text("Days"), 1);
  const abortDays = parseCount(rule.child("AbortIncompleteMultipartUpload")?.text("DaysAfterInitiation"), 1);
  if (expiration?.text("ExpiredObjectDeleteMarker") !== undefined) {
    throw notImplemented("the lifecycle action ExpiredObjectDeleteMarker");
  }
  if (expiration && (expireAtMs === undefined) === (expireDays === undefined)) throw s3Error("MalformedXML");
  if (!expiration && abortDays === undefined) {
    throw s3Error("InvalidRequest", "At least one action needs to be specified in a rule");
  }
  if (expireAtMs !== undefined && (Number.isNaN(expireAtMs) || expireAtMs % dayMs !== 0)) {
    throw s3Error("InvalidArgument", "'Date' must be at midnight GMT");
  }
  return {
    ...(expireDays === undefined ? {} : { expireDays }),
    ...(expireAtMs === undefined ? {} : { expireAtMs }),
    ...(abortDays === undefined ? {} : { abortDays }),
  };
}

function parseCount(text: string | undefined, least: number): number | undefined {
  if (text === undefined) return undefined;
  const count = /^\d{1,15}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (!(count >= least))
    throw s3Error("InvalidArgument", "Days and sizes in a lifecycle rule must be positive integers");
  return count;
}

function buildRule(rule: LifecycleRule): string {
  const expiration =
    rule.expireDays !== undefined
      ? element("Days", rule.expireDays)
      : rule.expireAtMs !== undefined
        ? element("Date", new Date(rule.expireAtMs).toISOString())
        : undefined;
  return element("Rule", [
    element("ID", rule.ruleId),
    rule.isOldForm ? element("Prefix", rule.prefix) : buildFilter(rule),
    element("Status", rule.isEnabled ? "Enabled" : "Disabled"),
    expiration && element("Expiration", [expiration]),
    rule.abortDays === undefined
      ? undefined
      : element("AbortIncompleteMultipartUpload", [element("DaysAfterInitiation", rule.abortDays)]),
  ]);
}

function buildFilter(rule: LifecycleRule): string {
  const conditions = [
    ...rule.tags.map(({ key, value }) => element("Tag", [element("Key", key), element("Value", value)])),
    ...(rule.sizeAboveBytes === undefined ? [] : [element("ObjectSizeGreaterThan", rule.sizeAboveBytes)]),
    ...(rule.sizeBelowBytes === undefined ? [] : [element("ObjectSizeLessThan", rule.sizeBelowBytes)]),
  ];
  if (rule.prefix !== "" || conditions.length === 0) conditions.unshift(element("Prefix", rule.prefix));
  return element("Filter", conditions.length === 1 ? conditions : [element("And", conditions)]);
}
