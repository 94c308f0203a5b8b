import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  PurgeQueueCommand,
  SendMessageBatchCommand,
} from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { bodiesOf, numbered, promptly, refusalOf, type SqsCase, type SqsSession, uniqueName } from "./session.ts";

const FIFO = { FifoQueue: "true", ContentBasedDeduplication: "true" };

/** Sends bodies of the form `group:text` to their groups, in order. */
async function sendInOrder(session: SqsSession, QueueUrl: string, bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await session.send(QueueUrl, body, { MessageGroupId: body.split(":")[0] ?? "" });
}

async function changeVisibility(session: SqsSession, QueueUrl: string, handle: string | undefined, seconds: number) {
  const input = { QueueUrl, ReceiptHandle: handle, VisibilityTimeout: seconds };
  await session.client.send(new ChangeMessageVisibilityCommand(input));
}

async function deleteMessage(session: SqsSession, QueueUrl: string, ReceiptHandle: string | undefined) {
  await session.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
}

export const FIFO_CASES: readonly SqsCase[] = [
  {
    title: "FIFO: delivers a group in the order of sending",
    async run(session) {
      const QueueUrl = await session.createQueue(FIFO);
      const bodies = numbered(25);
      for (let start = 0; start < bodies.length; start += 10) {
        const Entries = bodies.slice(start, start + 10).map((MessageBody, index) => ({
          Id: `${index}`,
          MessageBody,
          MessageGroupId: "g",
        }));
        await session.client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
      }
      const received: string[] = [];
      while (received.length < bodies.length) {
        const batch = await session.receive(QueueUrl, { MaxNumberOfMessages: 10, WaitTimeSeconds: 2 });
        if (batch.length === 0) break;
        received.push(...bodiesOf(batch));
        for (const { ReceiptHandle } of batch) await deleteMessage(session, QueueUrl, ReceiptHandle);
      }
      expect(received).toEqual(bodies);
    },
  },
  {
    title: "FIFO: locks a group while it has messages in flight, and no other group",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await sendInOrder(session, url, ["a:1", "a:2", "a:3", "b:1"]);
      const [first] = await session.receive(url, { MaxNumberOfMessages: 1 });
      expect(first?.Body).toBe("a:1");
      expect(bodiesOf(await session.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["b:1"]);
      expect(await session.receive(url, { MaxNumberOfMessages: 10 })).toEqual([]);
      await deleteMessage(session, url, first?.ReceiptHandle);
      expect(bodiesOf(await session.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["a:2", "a:3"]);
    },
  },
  {
    title: "FIFO: keeps a group locked while one of several received messages is in flight",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await sendInOrder(session, url, ["a:1", "a:2", "a:3"]);
      const received = await session.receive(url, { MaxNumberOfMessages: 2 });
      expect(bodiesOf(received)).toEqual(["a:1", "a:2"]);
      await deleteMessage(session, url, received[0]?.ReceiptHandle);
      expect(await session.receive(url, { MaxNumberOfMessages: 10 })).toEqual([]);
      await deleteMessage(session, url, received[1]?.ReceiptHandle);
      expect(bodiesOf(await session.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["a:3"]);
    },
  },
  {
    title: "FIFO: wakes a waiting poll when a delete unlocks its group",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await sendInOrder(session, url, ["a:1", "a:2"]);
      const first = await session.receiveOne(url);
      const poll = session.receive(url, { WaitTimeSeconds: 20 });
      await deleteMessage(session, url, first.ReceiptHandle);
      expect(bodiesOf(await promptly(poll))).toEqual(["a:2"]);
    },
  },
  {
    title: "FIFO: delivers again in the same order when visibility runs out",
    async run(session) {
      const url = await session.createQueue({ ...FIFO, VisibilityTimeout: "1" });
      await sendInOrder(session, url, ["a:1", "a:2", "a:3"]);
      expect(bodiesOf(await session.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["a:1", "a:2", "a:3"]);
      const again = await promptly(session.receive(url, { MaxNumberOfMessages: 1, WaitTimeSeconds: 20 }));
      expect(bodiesOf(again)).toEqual(["a:1"]);
    },
  },
  {
    title: "FIFO: delivers a released message before those after it, which stay hidden",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await sendInOrder(session, url, ["a:1", "a:2", "b:1"]);
      const received = await session.receive(url, { MaxNumberOfMessages: 2 });
      expect(bodiesOf(received)).toEqual(["a:1", "a:2"]);
      await changeVisibility(session, url, received[0]?.ReceiptHandle, 0);
      const next = await session.receive(url, { MaxNumberOfMessages: 3 });
      expect(bodiesOf(next).sort()).toEqual(["a:1", "b:1"]);
    },
  },
  {
    title: "FIFO: delivers up to the first message that is still hidden",
    async run(session) {
      const url = await session.createQueue({ ...FIFO, VisibilityTimeout: "1" });
      await sendInOrder(session, url, ["a:1", "a:2", "a:3"]);
      const received = await session.receive(url, { MaxNumberOfMessages: 10 });
      await changeVisibility(session, url, received[1]?.ReceiptHandle, 600);
      const again = await promptly(session.receive(url, { MaxNumberOfMessages: 10, WaitTimeSeconds: 20 }));
      expect(bodiesOf(again)).toEqual(["a:1"]);
    },
  },
  {
    title: "FIFO: recognises a repeated send by its deduplication id and answers the first one's id",
    async run(session) {
      const url = await session.createQueue({ FifoQueue: "true" });
      const ids = { MessageGroupId: "g", MessageDeduplicationId: "once" };
      const first = await session.send(url, "original", ids);
      const repeated = await session.send(url, "repeated", { ...ids, MessageGroupId: "other" });
      expect(repeated.MessageId).toBe(first.MessageId);
      expect(repeated.SequenceNumber).toBe(first.SequenceNumber);
      const message = await session.receiveOne(url);
      expect(message.Body).toBe("original");
      expect(message.Attributes?.MessageDeduplicationId).toBe("once");
      await deleteMessage(session, url, message.ReceiptHandle);
      await session.send(url, "after the delete", ids);
      expect(await session.receive(url)).toEqual([]);
    },
  },
  {
    title: "FIFO: recognises a repeated send by its content",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await session.send(url, "content", { MessageGroupId: "g" });
      await session.send(url, "content", { MessageGroupId: "g" });
      await session.send(url, "content", { MessageGroupId: "g", MessageDeduplicationId: "explicit" });
      await session.send(url, "other content", { MessageGroupId: "g" });
      const received = await session.receiveAll(url, 3);
      expect(bodiesOf(received)).toEqual(["content", "content", "other content"]);
      expect((await session.count(url)).visible).toBe(0);
    },
  },
  {
    title: "FIFO: deduplicates within each group where the queue says so",
    async run(session) {
      const url = await session.createQueue({ FifoQueue: "true", DeduplicationScope: "messageGroup" });
      for (const MessageGroupId of ["a", "b", "a"]) {
        await session.send(url, MessageGroupId, { MessageGroupId, MessageDeduplicationId: "same" });
      }
      expect(bodiesOf(await session.receiveAll(url, 2)).sort()).toEqual(["a", "b"]);
      expect((await session.count(url)).visible).toBe(0);
    },
  },
  {
    title: "FIFO: forgets what it deduplicates by when it is purged",
    async run(session) {
      const QueueUrl = await session.createQueue(FIFO);
      await session.send(QueueUrl, "content", { MessageGroupId: "g" });
      await session.client.send(new PurgeQueueCommand({ QueueUrl }));
      await session.send(QueueUrl, "content", { MessageGroupId: "g" });
      expect((await session.receiveOne(QueueUrl)).Body).toBe("content");
    },
  },
  {
    title: "FIFO: numbers messages in the order of sending",
    async run(session) {
      const url = await session.createQueue(FIFO);
      let last = "";
      for (const body of numbered(10)) {
        const { SequenceNumber = "" } = await session.send(url, body, { MessageGroupId: "g" });
        expect(SequenceNumber).toMatch(/^\d+$/);
        if (last !== "") expect(BigInt(SequenceNumber)).toBeGreaterThan(BigInt(last));
        last = SequenceNumber;
      }
      const received = await session.receiveAll(url, 10);
      expect(received.at(-1)?.Attributes?.SequenceNumber).toBe(last);
    },
  },
  {
    title: "FIFO: refuses messages without a group or without anything to deduplicate by",
    async run(session) {
      const url = await session.createQueue({ FifoQueue: "true" });
      for (const ids of [{ MessageDeduplicationId: "d" }, { MessageGroupId: "g" }, {}]) {
        const refusal = await refusalOf(session.send(url, "refused", ids));
        expect(refusal.$metadata.httpStatusCode, JSON.stringify(ids)).toBe(400);
      }
    },
  },
  {
    title: "FIFO: delays by the queue's delay only",
    async run(session) {
      const url = await session.createQueue({ ...FIFO, DelaySeconds: "1" });
      const refusal = await refusalOf(session.send(url, "refused", { MessageGroupId: "g", DelaySeconds: 2 }));
      expect(refusal.$metadata.httpStatusCode).toBe(400);
      await session.send(url, "later", { MessageGroupId: "g" });
      expect(await session.receive(url)).toEqual([]);
      expect(bodiesOf(await promptly(session.receive(url, { WaitTimeSeconds: 20 })))).toEqual(["later"]);
    },
  },
  {
    title: "FIFO: refuses to delete by a receipt whose visibility has run out",
    async run(session) {
      const url = await session.createQueue(FIFO);
      await session.send(url, "late", { MessageGroupId: "g" });
      const { ReceiptHandle } = await session.receiveOne(url, { VisibilityTimeout: 0 });
      expect((await refusalOf(deleteMessage(session, url, ReceiptHandle))).name).toBe("InvalidParameterValue");
      expect((await session.receiveOne(url)).Body).toBe("late");
    },
  },
  {
    title: "FIFO: tells its own attributes and refuses to become a standard queue",
    async run(session) {
      const name = uniqueName(".fifo");
      const url = await session.createNamedQueue(name, { FifoQueue: "true" });
      expect(await session.readAttributes(url)).toMatchObject({
        FifoQueue: "true",
        ContentBasedDeduplication: "false",
      });
      const refusal = await refusalOf(session.createNamedQueue(name, { FifoQueue: "false" }));
      expect(refusal.$metadata.httpStatusCode).toBe(400);
    },
  },
];
