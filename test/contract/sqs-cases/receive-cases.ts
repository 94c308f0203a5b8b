import { ChangeMessageVisibilityCommand, DeleteMessageCommand } from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { bodiesOf, numbered, promptly, refusalOf, type SqsCase } from "./session.ts";

const GREETING = {
  Hello: { DataType: "String", StringValue: "There" },
  General: { DataType: "String", StringValue: "Kenobi" },
  "Help.Me": { DataType: "String", StringValue: "Me" },
};

export const RECEIVE_CASES: readonly SqsCase[] = [
  {
    title: "answers a short poll on an empty queue at once",
    async run(session) {
      const url = await session.createQueue();
      expect(await promptly(session.receive(url, { WaitTimeSeconds: 0 }))).toEqual([]);
    },
  },
  {
    title: "waits as long as the call says and answers empty then",
    async run(session) {
      const url = await session.createQueue();
      const startMs = performance.now();
      expect(await session.receive(url, { WaitTimeSeconds: 1 })).toEqual([]);
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(950);
    },
  },
  {
    title: "waits as long as the queue says where the call does not",
    async run(session) {
      const url = await session.createQueue({ ReceiveMessageWaitTimeSeconds: "1" });
      const startMs = performance.now();
      expect(await session.receive(url)).toEqual([]);
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(950);
    },
  },
  {
    title: "wakes a waiting poll when a message is sent",
    async run(session) {
      const url = await session.createQueue();
      const poll = session.receive(url, { WaitTimeSeconds: 20 });
      await session.send(url, "wake up");
      expect(bodiesOf(await promptly(poll))).toEqual(["wake up"]);
    },
  },
  {
    title: "wakes a waiting poll when a visibility timeout runs out",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "1" });
      await session.send(url, "again");
      const first = await session.receiveOne(url);
      const [again] = await promptly(session.receive(url, { WaitTimeSeconds: 20 }));
      expect(again?.MessageId).toBe(first.MessageId);
      expect(again?.Attributes?.ApproximateReceiveCount).toBe("2");
    },
  },
  {
    title: "wakes a waiting poll when a delay is over",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "later", { DelaySeconds: 1 });
      expect(bodiesOf(await promptly(session.receive(url, { WaitTimeSeconds: 20 })))).toEqual(["later"]);
    },
  },
  {
    title: "wakes a waiting poll when a message is released",
    async run(session) {
      const QueueUrl = await session.createQueue();
      await session.send(QueueUrl, "released");
      const { ReceiptHandle } = await session.receiveOne(QueueUrl);
      const poll = session.receive(QueueUrl, { WaitTimeSeconds: 20 });
      await session.client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
      expect(bodiesOf(await promptly(poll))).toEqual(["released"]);
    },
  },
  {
    title: "lets one queue's polls wait without holding up another queue",
    async run(session) {
      const [busy, idle] = [await session.createQueue(), await session.createQueue()];
      const polls = numbered(3).map(() => session.receive(idle, { WaitTimeSeconds: 3 }));
      await session.send(busy, "not held up");
      expect((await promptly(session.receiveOne(busy))).Body).toBe("not held up");
      expect((await Promise.all(polls)).flat()).toEqual([]);
    },
  },
  {
    title: "hands each message to one of several polls, without loss or duplicate",
    async run(session) {
      const QueueUrl = await session.createQueue();
      const bodies = numbered(100);
      const received: string[] = [];
      const work = async () => {
        while (received.length < bodies.length) {
          const batch = await session.receive(QueueUrl, { WaitTimeSeconds: 2, MaxNumberOfMessages: 3 });
          if (batch.length === 0) return;
          received.push(...bodiesOf(batch));
          for (const { ReceiptHandle } of batch) {
            await session.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
          }
        }
      };
      const workers = numbered(5).map(work);
      await session.sendAll(QueueUrl, bodies);
      await Promise.all(workers);
      expect(received.sort()).toEqual(bodies.sort());
      expect(await session.count(QueueUrl)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "gives nothing to a poll whose client went away",
    async run(session) {
      const url = await session.createQueue();
      const abort = new AbortController();
      const polls = numbered(3).map(() => refusalOf(session.receive(url, { WaitTimeSeconds: 20 }, abort.signal)));
      // The polls have to be waiting at the server before they are given up.
      await new Promise((resolve) => setTimeout(resolve, 300));
      abort.abort();
      expect((await Promise.all(polls)).map(({ name }) => name)).toEqual(polls.map(() => "AbortError"));
      await session.send(url, "not swallowed");
      const message = await promptly(session.receiveOne(url, { WaitTimeSeconds: 2 }));
      expect(message.Attributes?.ApproximateReceiveCount).toBe("1");
    },
  },
  {
    title: "answers up to as many messages as the call asks for",
    async run(session) {
      const url = await session.createQueue();
      await session.sendAll(url, numbered(12));
      const first = await session.receive(url, { MaxNumberOfMessages: 10 });
      expect(first.length).toBeLessThanOrEqual(10);
      const rest = await session.receiveAll(url, 12 - first.length);
      expect(bodiesOf([...first, ...rest]).sort()).toEqual(numbered(12).sort());
    },
  },
  {
    title: "refuses numbers of messages and waits out of range",
    async run(session) {
      const url = await session.createQueue();
      for (const input of [
        { MaxNumberOfMessages: 0 },
        { MaxNumberOfMessages: 11 },
        { WaitTimeSeconds: -1 },
        { WaitTimeSeconds: 21 },
      ]) {
        const refusal = await refusalOf(session.receive(url, input));
        expect(refusal.$metadata?.httpStatusCode, JSON.stringify(input)).toBe(400);
      }
    },
  },
  {
    title: "refuses to receive with a visibility timeout out of range",
    async run(session) {
      const url = await session.createQueue();
      for (const VisibilityTimeout of [-1, 43_201]) {
        const refusal = await refusalOf(session.receive(url, { VisibilityTimeout }));
        expect(refusal.$metadata?.httpStatusCode).toBe(400);
      }
    },
  },
  {
    title: "counts receives and keeps the times of sending and of the first receive",
    async run(session) {
      const beforeMs = Date.now();
      const url = await session.createQueue();
      await session.send(url, "counted");
      const first = (await session.receiveOne(url, { VisibilityTimeout: 0 })).Attributes;
      const second = (await session.receiveOne(url)).Attributes;
      expect([first?.ApproximateReceiveCount, second?.ApproximateReceiveCount]).toEqual(["1", "2"]);
      expect(second?.SentTimestamp).toBe(first?.SentTimestamp);
      expect(second?.ApproximateFirstReceiveTimestamp).toBe(first?.ApproximateFirstReceiveTimestamp);
      expect(first?.SenderId).toBeTruthy();
      const times = [first?.SentTimestamp, first?.ApproximateFirstReceiveTimestamp].map(Number);
      for (const time of times) expect(Math.abs(time - beforeMs)).toBeLessThan(60_000);
    },
  },
  {
    title: "returns only the system attributes that are asked for, by both names of the parameter",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "0" });
      await session.send(url, "attributes");
      const none = await session.receiveOne(url, { MessageSystemAttributeNames: [] });
      expect(none.Attributes).toBeUndefined();
      const one = await session.receiveOne(url, { MessageSystemAttributeNames: ["SentTimestamp"] });
      expect(Object.keys(one.Attributes ?? {})).toEqual(["SentTimestamp"]);
      const older = await session.receiveOne(url, {
        MessageSystemAttributeNames: [],
        AttributeNames: ["SenderId" as "All"],
      });
      expect(Object.keys(older.Attributes ?? {})).toEqual(["SenderId"]);
    },
  },
  {
    title: "returns only the message attributes that are asked for, and digests those",
    async run(session) {
      const url = await session.createQueue({ VisibilityTimeout: "0" });
      await session.send(url, "msg", { MessageAttributes: GREETING });
      const ask = async (...MessageAttributeNames: string[]) => {
        const message = await session.receiveOne(url, { MessageAttributeNames });
        return [Object.keys(message.MessageAttributes ?? {}).sort(), message.MD5OfMessageAttributes];
      };
      // Digests as AWS answers them.
      expect(await ask()).toEqual([[], undefined]);
      expect(await ask("Absent")).toEqual([[], undefined]);
      expect(await ask("All")).toEqual([["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"]);
      expect(await ask(".*")).toEqual([["General", "Hello", "Help.Me"], "4c360f3fdafd970e05fae2f149d997f5"]);
      expect(await ask("Hello", "General")).toEqual([["General", "Hello"], "fca026605781cb4126a1e9044df24232"]);
      expect(await ask("Hello", "Absent")).toEqual([["Hello"], "a311262e065454b75da111d535b8dacd"]);
    },
  },
  {
    title: "returns the message attributes whose names begin as asked for",
    async run(session) {
      const url = await session.createQueue();
      await session.send(url, "msg", { MessageAttributes: GREETING });
      const message = await session.receiveOne(url, { MessageAttributeNames: ["Hel.*"] });
      expect(Object.keys(message.MessageAttributes ?? {}).sort()).toEqual(["Hello", "Help.Me"]);
      expect(message.MD5OfMessageAttributes).toBe("83fee93c1bcd8b9a5a923ffacdc636c7");
    },
  },
];
