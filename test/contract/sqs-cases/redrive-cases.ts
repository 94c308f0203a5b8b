import {
  CancelMessageMoveTaskCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  type ListMessageMoveTasksResultEntry,
  SetQueueAttributesCommand,
  StartMessageMoveTaskCommand,
} from "@aws-sdk/client-sqs";
import { expect } from "vitest";
import { bodiesOf, eventually, numbered, promptly, refusalOf, type SqsCase, type SqsSession } from "./session.ts";

type Pair = { source: string; dead: string; deadArn: string };

/** A queue whose messages go to a dead-letter queue after so many receives. */
async function createPair(session: SqsSession, maxReceiveCount: number, fifo = false): Promise<Pair> {
  const type = fifo ? { FifoQueue: "true", ContentBasedDeduplication: "true" } : {};
  const dead = await session.createQueue(type);
  const deadArn = await session.readArn(dead);
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount });
  const source = await session.createQueue({ ...type, RedrivePolicy, VisibilityTimeout: "0" });
  return { source, dead, deadArn };
}

/** Receives each message once and once more, which moves it to the dead-letter queue. */
async function spendAll(session: SqsSession, pair: Pair, count: number): Promise<void> {
  const messages = await session.receiveAll(pair.source, count, { VisibilityTimeout: 1 });
  expect(messages).toHaveLength(count);
  const moved = await eventually(
    async () => {
      await session.receive(pair.source, { MaxNumberOfMessages: 10 });
      return session.count(pair.dead);
    },
    ({ visible }) => visible === count,
  );
  expect(moved.visible).toBe(count);
}

async function latestTask(session: SqsSession, SourceArn: string): Promise<ListMessageMoveTasksResultEntry> {
  const { Results } = await session.client.send(new ListMessageMoveTasksCommand({ SourceArn }));
  return Results?.[0] ?? {};
}

async function finishedTask(session: SqsSession, SourceArn: string): Promise<ListMessageMoveTasksResultEntry> {
  return eventually(
    () => latestTask(session, SourceArn),
    ({ Status }) => Status !== "RUNNING",
  );
}

export const REDRIVE_CASES: readonly SqsCase[] = [
  {
    title: "moves a message to the dead-letter queue after its receives, with what it had",
    async run(session) {
      const { source, dead } = await createPair(session, 2);
      const sent = await session.send(source, "spent", {
        MessageAttributes: { colour: { DataType: "String", StringValue: "red" } },
      });
      const first = await session.receiveOne(source);
      await session.receiveOne(source);
      expect(await session.receive(source)).toEqual([]);
      const message = await promptly(session.receiveOne(dead));
      expect(message.MessageId).toBe(sent.MessageId);
      expect(message.Body).toBe("spent");
      expect(message.MessageAttributes?.colour?.StringValue).toBe("red");
      expect(message.Attributes?.SentTimestamp).toBe(first.Attributes?.SentTimestamp);
      expect(message.Attributes?.ApproximateReceiveCount).toBe("3");
      expect(await session.count(source)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "tells in a dead-letter queue where a message came from",
    async run(session) {
      const pair = await createPair(session, 1);
      await session.send(pair.source, "spent");
      await spendAll(session, pair, 1);
      const message = await session.receiveOne(pair.dead);
      expect(message.Attributes?.DeadLetterQueueSourceArn).toBe(await session.readArn(pair.source));
    },
  },
  {
    title: "wakes a poll at the dead-letter queue when a message is moved there",
    async run(session) {
      const { source, dead } = await createPair(session, 1);
      const poll = session.receive(dead, { WaitTimeSeconds: 20 });
      await session.send(source, "moved");
      await session.receiveOne(source);
      expect(await session.receive(source)).toEqual([]);
      expect(bodiesOf(await promptly(poll))).toEqual(["moved"]);
    },
  },
  {
    title: "returns the redrive policy",
    async run(session) {
      const { source, deadArn } = await createPair(session, 3);
      const { RedrivePolicy = "{}" } = await session.readAttributes(source);
      expect(JSON.parse(RedrivePolicy)).toEqual({ deadLetterTargetArn: deadArn, maxReceiveCount: 3 });
    },
  },
  {
    title: "removes the redrive policy when it is set to nothing",
    async run(session) {
      const { source } = await createPair(session, 3);
      const Attributes = { RedrivePolicy: "" };
      await session.client.send(new SetQueueAttributesCommand({ QueueUrl: source, Attributes }));
      expect((await session.readAttributes(source)).RedrivePolicy).toBeUndefined();
    },
  },
  {
    title: "refuses redrive policies that cannot work",
    async run(session) {
      const { source, deadArn } = await createPair(session, 3);
      for (const policy of [
        { deadLetterTargetArn: deadArn },
        { maxReceiveCount: 3 },
        { deadLetterTargetArn: deadArn, maxReceiveCount: 0 },
        { deadLetterTargetArn: deadArn, maxReceiveCount: 1001 },
        { deadLetterTargetArn: `${deadArn}-absent`, maxReceiveCount: 3 },
        { deadLetterTargetArn: "no arn", maxReceiveCount: 3 },
      ]) {
        const Attributes = { RedrivePolicy: JSON.stringify(policy) };
        const command = new SetQueueAttributesCommand({ QueueUrl: source, Attributes });
        const refusal = await refusalOf(session.client.send(command));
        expect(refusal.$metadata.httpStatusCode, JSON.stringify(policy)).toBe(400);
      }
    },
  },
  {
    title: "refuses a FIFO queue as the dead-letter queue of a standard queue",
    async run(session) {
      const deadLetterTargetArn = await session.readArn(await session.createQueue({ FifoQueue: "true" }));
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 3 });
      expect((await refusalOf(session.createQueue({ RedrivePolicy }))).$metadata.httpStatusCode).toBe(400);
    },
  },
  {
    title: "heeds which queues a dead-letter queue allows",
    async run(session) {
      const dead = await session.createQueue({ RedriveAllowPolicy: JSON.stringify({ redrivePermission: "denyAll" }) });
      const QueueUrl = await session.createQueue();
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: await session.readArn(dead), maxReceiveCount: 1 });
      const command = new SetQueueAttributesCommand({ QueueUrl, Attributes: { RedrivePolicy } });
      expect((await refusalOf(session.client.send(command))).$metadata.httpStatusCode).toBe(400);
      const sourceQueueArns = [await session.readArn(QueueUrl)];
      const RedriveAllowPolicy = JSON.stringify({ redrivePermission: "byQueue", sourceQueueArns });
      await session.client.send(new SetQueueAttributesCommand({ QueueUrl: dead, Attributes: { RedriveAllowPolicy } }));
      await session.client.send(command);
    },
  },
  {
    title: "lists the sources of a dead-letter queue",
    async run(session) {
      const { source, dead, deadArn } = await createPair(session, 3);
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 3 });
      const second = await session.createQueue({ RedrivePolicy });
      const listed = await session.client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
      expect([...(listed.queueUrls ?? [])].sort()).toEqual([source, second].sort());
      const none = await session.client.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: source }));
      expect(none.queueUrls ?? []).toEqual([]);
    },
  },
  {
    title: "moves messages back to the queues they came from",
    async run(session) {
      const pair = await createPair(session, 1);
      await session.sendAll(pair.source, numbered(12));
      await spendAll(session, pair, 12);
      const SourceArn = pair.deadArn;
      const { TaskHandle } = await session.client.send(new StartMessageMoveTaskCommand({ SourceArn }));
      expect(TaskHandle).toBeTruthy();
      const task = await finishedTask(session, SourceArn);
      expect(task).toMatchObject({ Status: "COMPLETED", SourceArn });
      expect(Number(task.ApproximateNumberOfMessagesMoved)).toBe(12);
      const moved = await session.receiveAll(pair.source, 12, { VisibilityTimeout: 60 });
      expect(bodiesOf(moved).sort()).toEqual(numbered(12).sort());
      expect(moved.map(({ Attributes }) => Attributes?.ApproximateReceiveCount)).toEqual(moved.map(() => "1"));
      expect(await session.count(pair.dead)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    },
  },
  {
    title: "moves messages to another queue, and wakes the polls there",
    async run(session) {
      const pair = await createPair(session, 1);
      await session.send(pair.source, "redirected");
      await spendAll(session, pair, 1);
      const target = await session.createQueue();
      const poll = session.receive(target, { WaitTimeSeconds: 20 });
      const DestinationArn = await session.readArn(target);
      await session.client.send(new StartMessageMoveTaskCommand({ SourceArn: pair.deadArn, DestinationArn }));
      expect(bodiesOf(await promptly(poll))).toEqual(["redirected"]);
      expect(await finishedTask(session, pair.deadArn)).toMatchObject({ Status: "COMPLETED", DestinationArn });
    },
  },
  {
    title: "moves no faster than asked, one task at a time, and stops when it is cancelled",
    async run(session) {
      const pair = await createPair(session, 1);
      await session.sendAll(pair.source, numbered(10));
      await spendAll(session, pair, 10);
      const input = { SourceArn: pair.deadArn, MaxNumberOfMessagesPerSecond: 1 };
      const { TaskHandle } = await session.client.send(new StartMessageMoveTaskCommand(input));
      expect(
        (await refusalOf(session.client.send(new StartMessageMoveTaskCommand(input)))).$metadata.httpStatusCode,
      ).toBe(400);
      expect(await latestTask(session, pair.deadArn)).toMatchObject({ Status: "RUNNING", TaskHandle });
      await session.client.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
      expect((await session.count(pair.dead)).visible).toBeGreaterThan(0);
    },
  },
  {
    title: "lists a cancelled task as cancelled",
    async run(session) {
      const pair = await createPair(session, 1);
      await session.sendAll(pair.source, numbered(5));
      await spendAll(session, pair, 5);
      const input = { SourceArn: pair.deadArn, MaxNumberOfMessagesPerSecond: 1 };
      const { TaskHandle } = await session.client.send(new StartMessageMoveTaskCommand(input));
      await session.client.send(new CancelMessageMoveTaskCommand({ TaskHandle }));
      const task = await eventually(
        () => latestTask(session, pair.deadArn),
        ({ Status }) => Status === "CANCELLED",
      );
      expect(task.Status).toBe("CANCELLED");
    },
  },
  {
    title: "refuses to move from queues that are not there or no dead-letter queues",
    async run(session) {
      const { source, deadArn } = await createPair(session, 1);
      const start = async (SourceArn: string, DestinationArn?: string) => {
        const input = { SourceArn, ...(DestinationArn !== undefined && { DestinationArn }) };
        return (await refusalOf(session.client.send(new StartMessageMoveTaskCommand(input)))).name;
      };
      expect(await start(`${deadArn}-absent`)).toBe("ResourceNotFoundException");
      expect(await start(deadArn, `${deadArn}-absent`)).toBe("ResourceNotFoundException");
      expect(await start(await session.readArn(source))).toBe("InvalidParameterValue");
    },
  },
  {
    title: "moves a FIFO message to a FIFO dead-letter queue and lets its group go on",
    async run(session) {
      const { source, dead } = await createPair(session, 1, true);
      await session.send(source, "first", { MessageGroupId: "g" });
      await session.send(source, "second", { MessageGroupId: "g" });
      expect((await session.receiveOne(source)).Body).toBe("first");
      expect((await session.receiveOne(source)).Body).toBe("second");
      const message = await session.receiveOne(dead);
      expect([message.Body, message.Attributes?.MessageGroupId]).toEqual(["first", "g"]);
    },
  },
];
