import { hash } from "node:crypto";
import { parseBatchEntries, runBatch } from "./batch.ts";
import { refuseValue, SqsError } from "./errors.ts";
import {
  digestAttributes,
  measureAttributes,
  parseMessageAttributes,
  parseSystemAttributes,
} from "./message-attributes.ts";
import { assertMessageCharacters } from "./message-body.ts";
import type { OutgoingMessage } from "./message-desk.ts";
import type { Operation, OperationContext } from "./operation.ts";
import type { Queue } from "./queue.ts";
import { requireQueue } from "./queue-url.ts";
import {
  type Fields,
  missing,
  readMap,
  readOptionalInteger,
  readOptionalString,
  readString,
} from "./request-fields.ts";

const MAX_BATCH_BYTES = 1_048_576;
const MAX_DELAY_SECONDS = 900;
/** Letters, digits and punctuation of ASCII, without the space. */
const TOKEN_PATTERN = /^[!-~]{1,128}$/;

const sendMessage: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const body = sendOne(context, queue, fields);
  context.desk.wakePolls();
  return { body };
};

const sendMessageBatch: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const entries = parseBatchEntries(fields);
  const batchBytes = entries.reduce((sum, entry) => sum + measureMessage(entry.fields), 0);
  if (batchBytes > MAX_BATCH_BYTES) {
    throw new SqsError(
      "BatchRequestTooLong",
      `Batch requests cannot be longer than ${MAX_BATCH_BYTES} bytes. You have sent ${batchBytes} bytes.`,
    );
  }
  const body = runBatch(entries, (entry) => sendOne(context, queue, entry));
  context.desk.wakePolls();
  return { body };
};

function sendOne(context: OperationContext, queue: Queue, fields: Fields): Record<string, unknown> {
  const outgoing = parseOutgoing(queue, fields);
  const sent = context.desk.send(queue, outgoing);
  return {
    MessageId: sent.messageId,
    MD5OfMessageBody: hash("md5", outgoing.body),
    MD5OfMessageAttributes: digestAttributes(outgoing.attributes),
    MD5OfMessageSystemAttributes: digestAttributes(outgoing.systemAttributes),
    SequenceNumber: sent.sequenceNumber,
  };
}

function parseOutgoing(queue: Queue, fields: Fields): OutgoingMessage {
  const body = readString(fields, "MessageBody");
  assertMessageCharacters(body);
  const attributes = parseMessageAttributes(readMap(fields, "MessageAttributes"));
  const systemAttributes = parseSystemAttributes(readMap(fields, "MessageSystemAttributes"));
  const limit = queue.settings.maximumMessageBytes;
  if (Buffer.byteLength(body) + measureAttributes(attributes) > limit) {
    throw new SqsError(
      "InvalidParameterValueException",
      `One or more parameters are invalid. Reason: Message must be shorter than ${limit} bytes.`,
    );
  }
  const groupId = readToken(fields, "MessageGroupId");
  const deduplicationId = readToken(fields, "MessageDeduplicationId");
  const delaySeconds = readDelay(queue, fields);
  if (queue.settings.isFifo) assertFifoParameters(queue, groupId, deduplicationId);
  else if (deduplicationId !== undefined) {
    const reason = "The request includes a parameter that is not valid for this queue type.";
    throw refuseValue("MessageDeduplicationId", deduplicationId, reason);
  }
  return { body, attributes, systemAttributes, delaySeconds, groupId, deduplicationId };
}

function assertFifoParameters(queue: Queue, groupId: string | undefined, deduplicationId: string | undefined): void {
  if (groupId === undefined) throw missing("MessageGroupId");
  if (deduplicationId !== undefined || queue.settings.contentBasedDeduplication) return;
  throw new SqsError(
    "InvalidParameterValueException",
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
  );
}

function readToken(fields: Fields, name: string): string | undefined {
  const token = readOptionalString(fields, name);
  if (token === undefined || TOKEN_PATTERN.test(token)) return token;
  throw refuseValue(
    name,
    token,
    `${name} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
  );
}

/** A FIFO queue delays all its messages alike: a delay of one message's own is refused, and 0 means the queue's. */
function readDelay(queue: Queue, fields: Fields): number | undefined {
  const delaySeconds = readOptionalInteger(fields, "DelaySeconds");
  if (delaySeconds === undefined) return undefined;
  if (delaySeconds < 0 || delaySeconds > MAX_DELAY_SECONDS) {
    throw refuseValue("DelaySeconds", delaySeconds, `DelaySeconds must be >= 0 and <= ${MAX_DELAY_SECONDS}.`);
  }
  if (!queue.settings.isFifo) return delaySeconds;
  if (delaySeconds === 0) return undefined;
  const reason = "The request include parameter that is not valid for this queue type.";
  throw refuseValue("DelaySeconds", delaySeconds, reason);
}

/** The size of an entry for the limit of a batch; what is wrong with the entry is reported when it is read properly. */
function measureMessage(fields: Fields): number {
  const body = fields.MessageBody;
  let bytes = typeof body === "string" ? Buffer.byteLength(body) : 0;
  for (const [name, value] of Object.entries(readMap(fields, "MessageAttributes"))) {
    bytes += Buffer.byteLength(name);
    const attribute: Record<string, unknown> = typeof value === "object" && value !== null ? { ...value } : {};
    for (const [part, text] of Object.entries(attribute)) {
      if (typeof text === "string") bytes += Buffer.byteLength(text, part === "BinaryValue" ? "base64" : "utf8");
    }
  }
  return bytes;
}

const deleteMessage: Operation = (context, fields) => {
  context.desk.delete(requireQueue(context, fields), readString(fields, "ReceiptHandle"));
  context.desk.wakePolls();
  return {};
};

const deleteMessageBatch: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const body = runBatch(parseBatchEntries(fields), (entry) => {
    context.desk.delete(queue, readString(entry, "ReceiptHandle"));
    return {};
  });
  context.desk.wakePolls();
  return { body };
};

const changeMessageVisibility: Operation = (context, fields) => {
  changeVisibilityOfOne(context, requireQueue(context, fields), fields);
  context.desk.wakePolls();
  return {};
};

const changeMessageVisibilityBatch: Operation = (context, fields) => {
  const queue = requireQueue(context, fields);
  const body = runBatch(parseBatchEntries(fields), (entry) => {
    changeVisibilityOfOne(context, queue, entry);
    return {};
  });
  context.desk.wakePolls();
  return { body };
};

function changeVisibilityOfOne(context: OperationContext, queue: Queue, fields: Fields): void {
  const seconds = readOptionalInteger(fields, "VisibilityTimeout");
  if (seconds === undefined) throw missing("VisibilityTimeout");
  queue.releaseDue();
  context.desk.changeVisibility(queue, readString(fields, "ReceiptHandle"), seconds);
}

/** The operations on messages, apart from receiving them. */
export const MESSAGE_OPERATIONS: Readonly<Record<string, Operation>> = {
  ChangeMessageVisibility: changeMessageVisibility,
  ChangeMessageVisibilityBatch: changeMessageVisibilityBatch,
  DeleteMessage: deleteMessage,
  DeleteMessageBatch: deleteMessageBatch,
  SendMessage: sendMessage,
  SendMessageBatch: sendMessageBatch,
};
