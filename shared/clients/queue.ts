import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { AppError } from "../domain/errors.ts";
import { type AwsClientOptions, awsClientOptions, withoutCallLogging } from "./aws-options.ts";
import { PlainJsonProtocol } from "./plain-json.ts";

/** Most entries of one SQS batch call, and most messages of one receive. */
export const queueBatchSize = 10;

/** A message as received: what names it, its body, and how often it was received (1 = the first time). */
export interface ReceivedMessage {
  messageId: string;
  receiptHandle: string;
  body: string;
  receiveCount: number;
}

/** A message to send; messages of one group are served fairly beside those of other groups. */
export interface OutgoingMessage {
  body: string;
  groupId: string;
  delaySeconds?: number;
}

/** How many messages a queue has, as SQS counts them: approximately. */
export interface QueueDepth {
  /** They can be received. */
  visible: number;
  /** Received, and neither deleted nor shown again. */
  inFlight: number;
  /** They cannot be received yet. */
  delayed: number;
}

/** Tells how deep a queue is. */
export interface QueueGauge {
  /** Throws where SQS has not answered within `deadlineMs`, all tries included. */
  measure(deadlineMs: number): Promise<QueueDepth>;
}

/** One pool's queue. All calls take any number of entries and split them into batches. */
export interface Queue {
  send(messages: readonly OutgoingMessage[]): Promise<void>;
  /** Waits up to `waitSeconds` for at most ten messages; an aborted signal ends the wait with an `AbortError`. */
  receive(options: { maxMessages: number; waitSeconds: number; signal?: AbortSignal }): Promise<ReceivedMessage[]>;
  /**
   * Answers the receipts that the queue refuses for good: their message is gone, shows already, or would be hidden for
   * more than 12 hours after it was received, which is the most SQS allows.
   */
  changeVisibility(receiptHandles: readonly string[], timeoutSeconds: number): Promise<string[]>;
  delete(receiptHandles: readonly string[]): Promise<void>;
}

/** The SQS client of this process. */
export function createSqsClient(options: AwsClientOptions = awsClientOptions): SQSClient {
  return withoutCallLogging(new SQSClient({ ...options, protocol: PlainJsonProtocol }));
}

/** Tells whether a receive failed because more messages of the queue are in flight than SQS allows (120,000). */
export function isOverLimit(error: unknown): boolean {
  return error instanceof Error && error.name === "OverLimit";
}

/** A queue behind its URL. */
export function createQueue(client: SQSClient, queueUrl: string): Queue {
  return {
    async send(messages) {
      for (const batch of inBatches(messages)) await sendBatch(client, queueUrl, batch);
    },
    async receive({ maxMessages, waitSeconds, signal }) {
      const command = new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: Math.min(maxMessages, queueBatchSize),
        WaitTimeSeconds: waitSeconds,
        MessageSystemAttributeNames: ["ApproximateReceiveCount"],
      });
      const answer = await client.send(command, signal ? { abortSignal: signal } : {});
      return (answer.Messages ?? []).map(toReceivedMessage);
    },
    async changeVisibility(receiptHandles, timeoutSeconds) {
      const refused: string[] = [];
      for (const batch of inBatches(receiptHandles)) {
        const Entries = batch.map((ReceiptHandle, index) => ({
          Id: String(index),
          ReceiptHandle,
          VisibilityTimeout: timeoutSeconds,
        }));
        const answer = await client.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl: queueUrl, Entries }));
        for (const { Id, SenderFault } of answer.Failed ?? []) {
          const receipt = batch[Number(Id)];
          if (SenderFault && receipt !== undefined) refused.push(receipt);
        }
      }
      return refused;
    },
    async delete(receiptHandles) {
      for (const batch of inBatches(receiptHandles)) {
        const Entries = batch.map((ReceiptHandle, index) => ({ Id: String(index), ReceiptHandle }));
        await client.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
      }
    },
  };
}

/** The gauge of a queue behind its URL. */
export function createQueueGauge(client: SQSClient, queueUrl: string): QueueGauge {
  const names = {
    visible: "ApproximateNumberOfMessages",
    inFlight: "ApproximateNumberOfMessagesNotVisible",
    delayed: "ApproximateNumberOfMessagesDelayed",
  } as const;
  return {
    async measure(deadlineMs) {
      const command = new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: Object.values(names) });
      const { Attributes } = await client.send(command, { abortSignal: AbortSignal.timeout(deadlineMs) });
      const read = (name: keyof typeof names) => Number(Attributes?.[names[name]] ?? "0");
      return { visible: read("visible"), inFlight: read("inFlight"), delayed: read("delayed") };
    },
  };
}

/** Sends one batch; entries that SQS could not take for a fault of its own are sent once more, then it is an error. */
async function sendBatch(client: SQSClient, queueUrl: string, batch: readonly OutgoingMessage[]): Promise<void> {
  let pending = batch.map((message, index) => ({
    Id: String(index),
    MessageBody: message.body,
    MessageGroupId: message.groupId,
    ...(message.delaySeconds === undefined ? {} : { DelaySeconds: message.delaySeconds }),
  }));
  for (let tries = 0; pending.length > 0; tries++) {
    const answer = await client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: pending }));
    const failed = new Set((answer.Failed ?? []).map((entry) => entry.Id));
    pending = pending.filter((entry) => failed.has(entry.Id));
    if (pending.length > 0 && tries >= 2) {
      throw new AppError("unavailable", `the queue did not take ${pending.length} messages; try again`, {
        details: { failed: answer.Failed },
      });
    }
  }
}

function toReceivedMessage(message: Message): ReceivedMessage {
  return {
    messageId: message.MessageId ?? "",
    receiptHandle: message.ReceiptHandle ?? "",
    body: message.Body ?? "",
    receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? "1"),
  };
}

function* inBatches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += queueBatchSize) yield items.slice(start, start + queueBatchSize);
}
