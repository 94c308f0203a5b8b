import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import type { Logger } from "../../shared/log.ts";
import { pause } from "./bell.ts";
import { createLambdaContext } from "./context.ts";

const longPollSeconds = 20;
const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** A function that a queue is mapped to. */
export interface QueueFunction {
  name: string;
  queueUrl: string;
  queueArn: string;
  batchSize: number;
  timeoutSeconds: number;
  handler: (event: SQSEvent, context: Context) => Promise<SQSBatchResponse>;
}

/** Takes messages from queues and calls functions with them, as Lambda's event source mapping does. */
export interface QueueSource {
  /** Ends the polls; resolves when the calls under way are done. */
  close(): Promise<void>;
}

interface SourceOptions {
  client: SQSClient;
  functions: readonly QueueFunction[];
  log: Logger;
}

/** Starts one poller for each queue. Messages that a function did not work off show again when their time is over. */
export function createQueueSource(options: SourceOptions): QueueSource {
  const stopping = new AbortController();
  const pollers = options.functions.map((fn) => pollQueue(options, fn, stopping.signal));
  return {
    async close() {
      stopping.abort();
      await Promise.all(pollers);
    },
  };
}

async function pollQueue({ client, log }: SourceOptions, fn: QueueFunction, signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    try {
      await deliverBatch(client, fn, { waitSeconds: longPollSeconds, signal });
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      log.warn(
        { err: error, function: fn.name },
        "a queue's messages could not be handed to its function; trying again",
      );
      await pause(Math.min(longestRetryMs, firstRetryMs * 2 ** failures), signal);
    }
  }
}

/** Receives one batch, calls the function with it and deletes what it worked off; answers how many there were. */
export async function deliverBatch(
  client: SQSClient,
  fn: QueueFunction,
  { waitSeconds, signal }: { waitSeconds: number; signal?: AbortSignal },
): Promise<number> {
  const receive = new ReceiveMessageCommand({
    QueueUrl: fn.queueUrl,
    MaxNumberOfMessages: fn.batchSize,
    WaitTimeSeconds: waitSeconds,
    MessageSystemAttributeNames: ["All"],
    MessageAttributeNames: ["All"],
  });
  const { Messages = [] } = await client.send(receive, signal ? { abortSignal: signal } : {});
  if (Messages.length === 0) return 0;
  const event: SQSEvent = { Records: Messages.map((message) => toRecord(message, fn)) };
  const { batchItemFailures } = await fn.handler(event, createLambdaContext(fn.name, fn.timeoutSeconds * 1000));
  const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  const done = Messages.filter(({ MessageId = "" }) => !failed.has(MessageId));
  if (done.length > 0) {
    const Entries = done.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl: fn.queueUrl, Entries }));
  }
  return Messages.length;
}

function toRecord(message: Message, { queueArn }: QueueFunction): SQSRecord {
  const { MessageId = "", ReceiptHandle = "", Body = "", MD5OfBody = "", Attributes, MessageAttributes = {} } = message;
  return {
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: Attributes as unknown as SQSRecord["attributes"],
    // Texts only: Sluice sends none at all.
    messageAttributes: Object.fromEntries(
      Object.entries(MessageAttributes).map(([name, { StringValue = "", DataType = "String" }]) => [
        name,
        { dataType: DataType, stringValue: StringValue },
      ]),
    ),
    md5OfBody: MD5OfBody,
    eventSource: "aws:sqs",
    eventSourceARN: queueArn,
    awsRegion: queueArn.split(":")[3] ?? "",
  };
}
