import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { afterEach, describe, expect, it } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { createQueueSource, type QueueSource } from "./queue-source.ts";

const noFailures: SQSBatchResponse = { batchItemFailures: [] };
let source: QueueSource | undefined;

afterEach(async () => {
  await source?.close();
  source = undefined;
});

/** A queue in memory: what is received and not deleted stays hidden. */
function createQueue(bodies: readonly string[]) {
  const waiting: Message[] = bodies.map((Body, index) => ({
    MessageId: `m${index}`,
    ReceiptHandle: `r${index}`,
    Body,
    Attributes: { ApproximateReceiveCount: "21", SentTimestamp: "1000" },
    MessageAttributes: { kind: { DataType: "String", StringValue: "test" } },
  }));
  const deleted: string[] = [];
  const emptied = Promise.withResolvers<void>();
  const state = { failures: 0, deleted, emptied: emptied.promise };
  const client = {
    async send(command: unknown, { abortSignal }: { abortSignal?: AbortSignal } = {}) {
      if (state.failures > 0) {
        state.failures -= 1;
        throw new Error("the queue is away");
      }
      if (command instanceof DeleteMessageBatchCommand) {
        for (const { ReceiptHandle = "" } of command.input.Entries ?? []) deleted.push(ReceiptHandle);
        return {};
      }
      if (!(command instanceof ReceiveMessageCommand)) throw new Error("not expected");
      const Messages = waiting.splice(0, command.input.MaxNumberOfMessages);
      if (Messages.length > 0) return { Messages };
      // As a long poll: it waits until somebody ends it.
      emptied.resolve();
      const { promise, reject } = Promise.withResolvers<never>();
      abortSignal?.addEventListener("abort", () => reject(abortSignal.reason), { once: true });
      return promise;
    },
  } as unknown as SQSClient;
  return { client, state };
}

function start(client: SQSClient, handler: (event: SQSEvent) => Promise<SQSBatchResponse>) {
  const log = createLogger("test", { level: "silent" });
  const queue = { queueUrl: "http://localhost/q", queueArn: "arn:aws:sqs:us-east-1:000000000000:q" };
  source = createQueueSource({
    client,
    functions: [{ name: "fn", ...queue, batchSize: 2, timeoutSeconds: 60, handler }],
    log,
  });
}

describe("a queue source", () => {
  it("hands messages to the function in batches, in the form of Lambda, and deletes them", async () => {
    const { client, state } = createQueue(["a", "b", "c"]);
    const events: SQSEvent[] = [];
    start(client, async (event) => {
      events.push(event);
      return noFailures;
    });
    await state.emptied;
    expect(events.map(({ Records }) => Records.map(({ body }) => body))).toEqual([["a", "b"], ["c"]]);
    expect(events[0]?.Records[0]).toMatchObject({
      messageId: "m0",
      receiptHandle: "r0",
      attributes: { ApproximateReceiveCount: "21", SentTimestamp: "1000" },
      messageAttributes: { kind: { dataType: "String", stringValue: "test" } },
      eventSource: "aws:sqs",
      eventSourceARN: "arn:aws:sqs:us-east-1:000000000000:q",
      awsRegion: "us-east-1",
    });
    expect(state.deleted).toEqual(["r0", "r1", "r2"]);
  });

  it("leaves the messages that the function could not work off", async () => {
    const { client, state } = createQueue(["a", "b"]);
    start(client, async () => ({ batchItemFailures: [{ itemIdentifier: "m0" }] }));
    await state.emptied;
    expect(state.deleted).toEqual(["r1"]);
  });

  it("leaves the whole batch of a function that fails, and goes on", async () => {
    const { client, state } = createQueue(["a", "b", "c"]);
    start(client, async ({ Records }) => {
      if (Records.length === 2) throw new Error("the function failed");
      return noFailures;
    });
    await state.emptied;
    expect(state.deleted).toEqual(["r2"]);
  });

  it("goes on where the queue was away", async () => {
    const { client, state } = createQueue(["a"]);
    state.failures = 1;
    start(client, async () => noFailures);
    await state.emptied;
    expect(state.deleted).toEqual(["r0"]);
  });

  it("lets the call under way come to its end before it closes", async () => {
    const { client, state } = createQueue(["a"]);
    const called = Promise.withResolvers<void>();
    const done = Promise.withResolvers<SQSBatchResponse>();
    start(client, () => {
      called.resolve();
      return done.promise;
    });
    await called.promise;
    const closed = source?.close();
    done.resolve(noFailures);
    await closed;
    expect(state.deleted).toEqual(["r0"]);
  });
});
