import { refuseValue, SqsError } from "./errors.ts";

/** Attributes of a queue as they are set, stored and returned: strings only. */
export type QueueAttributes = Readonly<Record<string, string>>;

/** Where messages go after too many receives. */
export type RedrivePolicy = { readonly deadLetterTargetArn: string; readonly maxReceiveCount: number };

/** Which queues may use a queue as their dead-letter queue. */
export type RedriveAllowPolicy =
  | { readonly redrivePermission: "allowAll" | "denyAll" }
  | { readonly redrivePermission: "byQueue"; readonly sourceQueueArns: readonly string[] };

/** The attributes that the server acts on, with their types and defaults. */
export type QueueSettings = {
  readonly isFifo: boolean;
  readonly delaySeconds: number;
  readonly maximumMessageBytes: number;
  readonly retentionSeconds: number;
  readonly receiveWaitSeconds: number;
  readonly visibilityTimeoutSeconds: number;
  readonly contentBasedDeduplication: boolean;
  readonly deduplicatesPerGroup: boolean;
  readonly redrive: RedrivePolicy | undefined;
  readonly redriveAllow: RedriveAllowPolicy;
};

const INTEGER_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  DelaySeconds: [0, 900],
  MaximumMessageSize: [1_024, 1_048_576],
  MessageRetentionPeriod: [60, 1_209_600],
  ReceiveMessageWaitTimeSeconds: [0, 20],
  VisibilityTimeout: [0, 43_200],
  KmsDataKeyReusePeriodSeconds: [60, 86_400],
};

const STANDARD_DEFAULTS: QueueAttributes = {
  DelaySeconds: "0",
  MaximumMessageSize: "1048576",
  MessageRetentionPeriod: "345600",
  ReceiveMessageWaitTimeSeconds: "0",
  SqsManagedSseEnabled: "true",
  VisibilityTimeout: "30",
};

const FIFO_DEFAULTS: QueueAttributes = {
  ContentBasedDeduplication: "false",
  DeduplicationScope: "queue",
  FifoQueue: "true",
  FifoThroughputLimit: "perQueue",
};

const FIFO_VALUES: Readonly<Record<string, readonly string[]>> = {
  ContentBasedDeduplication: ["true", "false"],
  DeduplicationScope: ["queue", "messageGroup"],
  FifoThroughputLimit: ["perQueue", "perMessageGroupId"],
};

const NAME_PATTERN = /^[A-Za-z0-9_-]{1,80}$/;
const FIFO_NAME_PATTERN = /^[A-Za-z0-9_-]{1,75}\.fifo$/;

/** Attributes that the server computes; they can be read and not set. */
const COMPUTED_ATTRIBUTES = [
  "QueueArn",
  "CreatedTimestamp",
  "LastModifiedTimestamp",
  "ApproximateNumberOfMessages",
  "ApproximateNumberOfMessagesNotVisible",
  "ApproximateNumberOfMessagesDelayed",
] as const;

/** All attributes that can be asked for by name. */
export const READABLE_ATTRIBUTES: ReadonlySet<string> = new Set([
  ...COMPUTED_ATTRIBUTES,
  ...Object.keys(STANDARD_DEFAULTS),
  ...Object.keys(FIFO_DEFAULTS),
  "KmsDataKeyReusePeriodSeconds",
  "KmsMasterKeyId",
  "Policy",
  "RedriveAllowPolicy",
  "RedrivePolicy",
]);

/** Builds the full attributes of a new queue from what a client sets, defaults included. */
export function buildQueueAttributes(queueName: string, input: Readonly<Record<string, string>>): QueueAttributes {
  const wantsFifo = input.FifoQueue?.toLowerCase() === "true";
  if (wantsFifo && !FIFO_NAME_PATTERN.test(queueName)) {
    throw new SqsError(
      "InvalidParameterValueException",
      "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.",
    );
  }
  if (!wantsFifo && !NAME_PATTERN.test(queueName)) {
    throw new SqsError(
      "InvalidParameterValueException",
      "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    );
  }
  if (!wantsFifo && input.FifoQueue !== undefined) throw unknownAttribute("FifoQueue");
  const defaults = wantsFifo ? { ...STANDARD_DEFAULTS, ...FIFO_DEFAULTS } : STANDARD_DEFAULTS;
  return changeQueueAttributes(defaults, input);
}

/** Applies what a client sets to the attributes a queue has; an empty policy or key removes it. */
export function changeQueueAttributes(
  current: QueueAttributes,
  input: Readonly<Record<string, string>>,
): QueueAttributes {
  const isFifo = current.FifoQueue === "true";
  const changed: Record<string, string> = { ...current };
  for (const [name, value] of Object.entries(input)) {
    const normal = normalizeAttribute(name, value, isFifo);
    if (normal === undefined) delete changed[name];
    else changed[name] = normal;
  }
  if (input.KmsMasterKeyId && input.SqsManagedSseEnabled === "true") {
    throw new SqsError(
      "InvalidAttributeName",
      "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
    );
  }
  if (input.KmsMasterKeyId) changed.SqsManagedSseEnabled = "false";
  if (changed.FifoThroughputLimit === "perMessageGroupId" && changed.DeduplicationScope !== "messageGroup") {
    throw invalidAttribute(
      "FifoThroughputLimit",
      "perMessageGroupId is allowed only when DeduplicationScope is messageGroup.",
    );
  }
  return changed;
}

/** Brings one attribute into the form it is stored in, or refuses it; undefined means that it is removed. */
function normalizeAttribute(name: string, value: string, isFifo: boolean): string | undefined {
  const range = INTEGER_RANGES[name];
  if (range !== undefined) return normalizeInteger(name, value, range);
  switch (name) {
    case "FifoQueue":
      if (!isFifo) throw unknownAttribute(name);
      if (value.toLowerCase() !== "true") throw invalidAttribute(name, "Modifying queue type is not supported.");
      return "true";
    case "ContentBasedDeduplication":
      if (!isFifo) throw unknownAttribute(name);
      return normalizeChoice(name, value.toLowerCase());
    case "DeduplicationScope":
    case "FifoThroughputLimit":
      if (!isFifo) {
        throw new SqsError("InvalidAttributeName", `You can specify the ${name} only when FifoQueue is set to true.`);
      }
      return normalizeChoice(name, value);
    case "SqsManagedSseEnabled":
      if (!/^(true|false)$/i.test(value)) throw invalidAttribute(name);
      return value.toLowerCase();
    case "RedrivePolicy":
      return value === "" ? undefined : JSON.stringify(parseRedrivePolicy(value));
    case "RedriveAllowPolicy":
      return value === "" ? undefined : JSON.stringify(parseRedriveAllowPolicy(value));
    case "Policy":
      if (value !== "") parseJsonAttribute(name, value);
      return value === "" ? undefined : value;
    case "KmsMasterKeyId":
      return value === "" ? undefined : value;
    default:
      throw unknownAttribute(name);
  }
}

function normalizeInteger(name: string, value: string, range: readonly [number, number]): string {
  const parsed = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (!(parsed >= range[0] && parsed <= range[1])) {
    throw invalidAttribute(name, `It has to be a whole number from ${range[0]} to ${range[1]}.`);
  }
  return String(parsed);
}

function normalizeChoice(name: string, value: string): string {
  const choices = FIFO_VALUES[name] ?? [];
  if (!choices.includes(value)) throw invalidAttribute(name, `It has to be one of ${choices.join(", ")}.`);
  return value;
}

function parseRedrivePolicy(text: string): RedrivePolicy {
  const policy = parseJsonAttribute("RedrivePolicy", text);
  for (const key of ["deadLetterTargetArn", "maxReceiveCount"]) {
    if (policy[key] === undefined) {
      throw refuseValue("RedrivePolicy", text, `Redrive policy does not contain mandatory attribute: ${key}.`);
    }
  }
  const { deadLetterTargetArn } = policy;
  if (typeof deadLetterTargetArn !== "string" || parseQueueArn(deadLetterTargetArn) === undefined) {
    throw refuseValue("RedrivePolicy", text, "Invalid value for deadLetterTargetArn.");
  }
  const maxReceiveCount = Number(policy.maxReceiveCount);
  if (!Number.isInteger(maxReceiveCount) || maxReceiveCount < 1 || maxReceiveCount > 1_000) {
    const given = String(policy.maxReceiveCount);
    const range = "valid values are from 1 to 1000 both inclusive.";
    throw refuseValue("RedrivePolicy", text, `Invalid value for maxReceiveCount: ${given}, ${range}`);
  }
  return { deadLetterTargetArn, maxReceiveCount };
}

function parseRedriveAllowPolicy(text: string): RedriveAllowPolicy {
  const policy = parseJsonAttribute("RedriveAllowPolicy", text);
  const { redrivePermission, sourceQueueArns } = policy;
  if (redrivePermission === "allowAll" || redrivePermission === "denyAll") {
    if (sourceQueueArns === undefined) return { redrivePermission };
    throw refuseValue("RedriveAllowPolicy", text, "sourceQueueArns is allowed only when redrivePermission is byQueue.");
  }
  if (redrivePermission !== "byQueue") {
    throw refuseValue("RedriveAllowPolicy", text, "redrivePermission has to be allowAll, denyAll or byQueue.");
  }
  const arns: unknown[] = Array.isArray(sourceQueueArns) ? sourceQueueArns : [];
  const valid = arns.filter((arn) => typeof arn === "string" && parseQueueArn(arn) !== undefined) as string[];
  if (valid.length === 0 || valid.length > 10 || valid.length !== arns.length) {
    throw refuseValue("RedriveAllowPolicy", text, "sourceQueueArns has to hold 1 to 10 queue ARNs.");
  }
  return { redrivePermission, sourceQueueArns: valid };
}

function parseJsonAttribute(name: string, text: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed as Record<string, unknown>;
  throw refuseValue(name, text, `${name} is not a valid JSON map.`);
}

/** Derives the typed settings from attributes that have been validated before. */
export function deriveSettings(attributes: QueueAttributes): QueueSettings {
  const integer = (name: string) => Number(attributes[name] ?? STANDARD_DEFAULTS[name]);
  const redrive = attributes.RedrivePolicy;
  const redriveAllow = attributes.RedriveAllowPolicy;
  return {
    isFifo: attributes.FifoQueue === "true",
    delaySeconds: integer("DelaySeconds"),
    maximumMessageBytes: integer("MaximumMessageSize"),
    retentionSeconds: integer("MessageRetentionPeriod"),
    receiveWaitSeconds: integer("ReceiveMessageWaitTimeSeconds"),
    visibilityTimeoutSeconds: integer("VisibilityTimeout"),
    contentBasedDeduplication: attributes.ContentBasedDeduplication === "true",
    deduplicatesPerGroup: attributes.DeduplicationScope === "messageGroup",
    redrive: redrive === undefined ? undefined : parseRedrivePolicy(redrive),
    redriveAllow:
      redriveAllow === undefined ? { redrivePermission: "allowAll" } : parseRedriveAllowPolicy(redriveAllow),
  };
}

/** Names the first attribute in which a repeated CreateQueue differs from the queue that exists. */
export function findDifferingAttribute(
  existing: QueueAttributes,
  input: Readonly<Record<string, string>>,
): string | undefined {
  const wanted = changeQueueAttributes(existing, input);
  return Object.keys({ ...existing, ...wanted }).find((name) => wanted[name] !== existing[name]);
}

/** Splits a queue's ARN; undefined where it is none. */
export function parseQueueArn(arn: string): { region: string; accountId: string; queueName: string } | undefined {
  const match = /^arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([A-Za-z0-9_.-]+)$/.exec(arn);
  const [, region, accountId, queueName] = match ?? [];
  if (region === undefined || accountId === undefined || queueName === undefined) return undefined;
  return { region, accountId, queueName };
}

function unknownAttribute(name: string): SqsError {
  return new SqsError("InvalidAttributeName", `Unknown Attribute ${name}.`);
}

function invalidAttribute(name: string, reason?: string): SqsError {
  const ending = reason === undefined ? "" : ` Reason: ${reason}`;
  return new SqsError("InvalidAttributeValue", `Invalid value for the parameter ${name}.${ending}`);
}
