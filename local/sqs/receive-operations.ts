import { hash } from "node:crypto";
import { refuseValue, SqsError } from "./errors.ts";
import { digestAttributes, selectAttributes } from "./message-attributes.ts";
import type { Operation, OperationContext } from "./operation.ts";
import type { ReceivedMessage } from "./queue.ts";
import { requireQueue } from "./queue-url.ts";
import { type Fields, readOptionalInteger, readOptionalString, readStringList } from "./request-fields.ts";

const MAX_MESSAGES = 10;
const MAX_WAIT_SECONDS = 20;
const MAX_VISIBILITY_SECONDS = 43_200;

const SYSTEM_ATTRIBUTES: ReadonlySet<string> = new Set([
  "All",
  "ApproximateFirstReceiveTimestamp",
  "ApproximateReceiveCount",
  "AWSTraceHeader",
  "DeadLetterQueueSourceArn",
  "MessageDeduplicationId",
  "MessageGroupId",
  "SenderId",
  "SentTimestamp",
  "SequenceNumber",
]);

const receiveMessage: Operation = async (context, fields, client) => {
  const queue = requireQueue(context, fields);
  if (readOptionalString(fields, "ReceiveRequestAttemptId") !== undefined) {
    throw new SqsError(
      "UnsupportedOperation",
      "ReceiveRequestAttemptId is not implemented by the embedded SQS server.",
    );
  }
  const maxMessages = readInRange(fields, "MaxNumberOfMessages", [1, MAX_MESSAGES]) ?? 1;
  const waitSeconds =
    readInRange(fields, "WaitTimeSeconds", [0, MAX_WAIT_SECONDS]) ?? queue.settings.receiveWaitSeconds;
  const visibilitySeconds =
    readInRange(fields, "VisibilityTimeout", [0, MAX_VISIBILITY_SECONDS]) ?? queue.settings.visibilityTimeoutSeconds;
  const wanted = readWantedAttributes(fields);
  const request = { maxMessages, visibilityTimeoutMs: visibilitySeconds * 1_000 };
  const delivery = await context.desk.receive(queue, request, waitSeconds * 1_000, client);
  if (delivery.messages.length === 0) return { body: {} };
  const Messages = delivery.messages.map((message) => renderMessage(context, message, wanted));
  return { body: { Messages }, delivery: { queueName: queue.identity.name, delivery } };
};

function readInRange(fields: Fields, name: string, [low, high]: readonly [number, number]): number | undefined {
  const value = readOptionalInteger(fields, name);
  if (value === undefined || (value >= low && value <= high)) return value;
  const range = low === 0 ? `>= ${low} and <= ${high}` : `between ${low} and ${high}`;
  throw refuseValue(name, value, `Must be ${range}, if provided.`);
}

type WantedAttributes = { readonly system: ReadonlySet<string>; readonly message: readonly string[] };

function readWantedAttributes(fields: Fields): WantedAttributes {
  // The older name of the parameter still counts, on AWS too.
  const system = new Set([
    ...readStringList(fields, "AttributeNames"),
    ...readStringList(fields, "MessageSystemAttributeNames"),
  ]);
  for (const name of system) {
    if (!SYSTEM_ATTRIBUTES.has(name)) throw new SqsError("InvalidAttributeName", `Unknown Attribute ${name}.`);
  }
  return { system, message: readStringList(fields, "MessageAttributeNames") };
}

function renderMessage(context: OperationContext, received: ReceivedMessage, wanted: WantedAttributes) {
  const { content, receiptHandle } = received;
  const attributes = selectAttributes(content.attributes, wanted.message);
  const system = Object.entries(describeMessage(context, received)).filter(
    ([name, value]) => value !== undefined && (wanted.system.has("All") || wanted.system.has(name)),
  );
  return {
    MessageId: content.messageId,
    ReceiptHandle: receiptHandle,
    MD5OfBody: hash("md5", content.body),
    Body: content.body,
    ...(system.length > 0 && { Attributes: Object.fromEntries(system) }),
    ...(Object.keys(attributes).length > 0 && {
      // Over the attributes that are sent, not over all there are.
      MD5OfMessageAttributes: digestAttributes(attributes),
      MessageAttributes: attributes,
    }),
  };
}

function describeMessage(context: OperationContext, received: ReceivedMessage): Record<string, string | undefined> {
  const { content } = received;
  return {
    ApproximateFirstReceiveTimestamp: String(received.firstReceivedAtMs),
    ApproximateReceiveCount: String(received.receiveCount),
    AWSTraceHeader: content.systemAttributes.AWSTraceHeader?.StringValue,
    DeadLetterQueueSourceArn: content.deadLetterSourceArn,
    MessageDeduplicationId: content.deduplicationId,
    MessageGroupId: received.groupId === "" ? undefined : received.groupId,
    SenderId: context.senderId,
    SentTimestamp: String(received.sentAtMs),
    SequenceNumber: content.sequenceNumber,
  };
}

/** Receiving messages. */
export const RECEIVE_OPERATIONS: Readonly<Record<string, Operation>> = { ReceiveMessage: receiveMessage };
