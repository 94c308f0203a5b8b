import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  ListMessageMoveTasksCommand,
  StartMessageMoveTaskCommand,
} from "@aws-sdk/client-sqs";
import { afterEach, describe, expect, it } from "vitest";
import { createSqsServer } from "../../local/sqs/index.ts";
import { CREDENTIALS, EmbeddedScope, REGION } from "./sqs-cases/embedded.ts";
import {
  bodiesOf,
  eventually,
  numbered,
  promptly,
  refusalOf,
  type SqsSession,
  uniqueName,
} from "./sqs-cases/session.ts";

const scope = new EmbeddedScope();
afterEach(() => scope.dispose());

type Server = { url: string; port: number; stop(): Promise<void> };

/** The two ways in which a server can end; what was acknowledged has to be the same after both. */
const ENDS: Readonly<Record<string, (dataDir: string, port?: number) => Promise<Server>>> = {
  "a restart": async (dataDir, port = 0) => {
    const server = await scope.start({ dataDir, port });
    return { ...server, stop: server.close };
  },
  "kill -9": async (dataDir, port = 0) => {
    const server = await scope.startProcess(dataDir, port);
    return { ...server, stop: server.kill };
  },
};

for (const [end, start] of Object.entries(ENDS)) {
  describe(`embedded SQS after ${end}`, () => {
    const restart = async (dataDir: string, server: Server): Promise<SqsSession> => {
      await server.stop();
      const again = await start(dataDir, server.port);
      expect(again.url).toBe(server.url);
      return scope.open(again.url);
    };

    it("has what was visible, in flight and delayed, with receipts that go on working", async () => {
      const dataDir = await scope.makeDataDir();
      const server = await start(dataDir);
      const before = scope.open(server.url);
      const QueueUrl = await before.createQueue({ VisibilityTimeout: "600" });
      const attributes = { MessageAttributes: { colour: { DataType: "String", StringValue: "red" } } };
      await before.sendAll(QueueUrl, numbered(6), { ...attributes, MessageGroupId: "g" });
      await before.send(QueueUrl, "delayed for long", { DelaySeconds: 900 });
      await before.send(QueueUrl, "delayed for a moment", { DelaySeconds: 1 });
      const [done, released, held] = await before.receiveAll(QueueUrl, 3);
      await before.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: done?.ReceiptHandle }));

      const after = await restart(dataDir, server);
      const counted = await eventually(
        () => after.count(QueueUrl),
        ({ delayed }) => delayed === 1,
      );
      expect(counted).toEqual({ visible: 4, inFlight: 2, delayed: 1 });
      const release = { QueueUrl, ReceiptHandle: released?.ReceiptHandle, VisibilityTimeout: 0 };
      await after.client.send(new ChangeMessageVisibilityCommand(release));
      await after.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: held?.ReceiptHandle }));
      const received = await after.receiveAll(QueueUrl, 5);
      const expected = ["delayed for a moment", released?.Body, ...numbered(6).slice(3)];
      expect(bodiesOf(received).sort()).toEqual(expected.sort());
      const again = received.find(({ MessageId }) => MessageId === released?.MessageId);
      expect(again?.Attributes).toMatchObject({
        ApproximateReceiveCount: "2",
        SentTimestamp: released?.Attributes?.SentTimestamp,
        ApproximateFirstReceiveTimestamp: released?.Attributes?.ApproximateFirstReceiveTimestamp,
        MessageGroupId: "g",
      });
      expect(again?.MessageAttributes?.colour?.StringValue).toBe("red");
      expect(await after.count(QueueUrl)).toEqual({ visible: 0, inFlight: 5, delayed: 1 });
    });

    it("makes visible what ran out while it was away", async () => {
      const dataDir = await scope.makeDataDir();
      const server = await start(dataDir);
      const before = scope.open(server.url);
      const url = await before.createQueue({ VisibilityTimeout: "1" });
      await before.send(url, "in flight");
      await before.receiveOne(url);
      await server.stop();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const again = await start(dataDir, server.port);
      expect(await scope.open(again.url).count(url)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
    });

    it("keeps queues with attributes and tags, the order and lock of groups, and what deduplicates", async () => {
      const dataDir = await scope.makeDataDir();
      const server = await start(dataDir);
      const before = scope.open(server.url);
      const name = uniqueName(".fifo");
      const url = await before.createNamedQueue(name, { FifoQueue: "true", VisibilityTimeout: "600" });
      const ids = (text: string) => ({ MessageGroupId: text.slice(0, 1), MessageDeduplicationId: text });
      for (const body of ["a1", "a2", "a3", "b1"]) await before.send(url, body, ids(body));
      const first = await before.receiveOne(url);
      const lastSent = await before.send(url, "b2", ids("b2"));

      const after = await restart(dataDir, server);
      expect(await after.createNamedQueue(name, { VisibilityTimeout: "600" })).toBe(url);
      const repeated = await after.send(url, "b2 again", ids("b2"));
      expect(repeated.MessageId).toBe(lastSent.MessageId);
      const next = await after.send(url, "b3", ids("b3"));
      expect(BigInt(next.SequenceNumber ?? 0)).toBeGreaterThan(BigInt(lastSent.SequenceNumber ?? 0));
      expect(bodiesOf(await after.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["b1", "b2", "b3"]);
      await after.client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: first.ReceiptHandle }));
      expect(bodiesOf(await after.receive(url, { MaxNumberOfMessages: 10 }))).toEqual(["a2", "a3"]);
    });

    it("goes on moving messages out of a dead-letter queue", async () => {
      const dataDir = await scope.makeDataDir();
      const server = await start(dataDir);
      const before = scope.open(server.url);
      const dead = await before.createQueue();
      const deadArn = await before.readArn(dead);
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 1 });
      const DestinationArn = await before.readArn(await before.createQueue({ RedrivePolicy }));
      await before.sendAll(dead, numbered(20));
      const task = { SourceArn: deadArn, DestinationArn, MaxNumberOfMessagesPerSecond: 20 };
      await before.client.send(new StartMessageMoveTaskCommand(task));

      const after = await restart(dataDir, server);
      const listed = await eventually(
        () => after.client.send(new ListMessageMoveTasksCommand({ SourceArn: deadArn })),
        ({ Results }) => Results?.[0]?.Status !== "RUNNING",
      );
      expect(listed.Results?.[0]).toMatchObject({ Status: "COMPLETED", ApproximateNumberOfMessagesMoved: 20 });
      expect(await after.count(dead)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    });
  });
}

describe("embedded SQS, killed in the middle of work", () => {
  it("has every message it acknowledged once, and none that it acknowledged as deleted", async () => {
    const dataDir = await scope.makeDataDir();
    const server = await scope.startProcess(dataDir);
    const session = scope.open(server.url);
    const QueueUrl = await session.createQueue({ VisibilityTimeout: "600" });
    const [sent, received, deleted] = [new Set<string>(), new Set<string>(), new Set<string>()];
    let batchCount = 0;
    const senders = numbered(4).map(() =>
      repeatUntilItFails(async () => {
        batchCount += 1;
        const bodies = numbered(10, `m${batchCount}`);
        await session.sendAll(QueueUrl, bodies);
        for (const body of bodies) sent.add(body);
      }),
    );
    const workers = numbered(2).map(() =>
      repeatUntilItFails(async () => {
        const messages = await session.receive(QueueUrl, { MaxNumberOfMessages: 3, WaitTimeSeconds: 1 });
        for (const body of bodiesOf(messages)) received.add(body);
        for (const { Body = "", ReceiptHandle } of messages) {
          await session.client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
          deleted.add(Body);
        }
      }),
    );
    await eventually(
      async () => sent.size,
      (count) => count >= 500,
    );
    await server.kill();
    await Promise.all([...senders, ...workers]);
    expect(sent.size).toBeGreaterThanOrEqual(500);
    expect(deleted.size).toBeGreaterThan(0);

    const again = await scope.startProcess(dataDir, server.port);
    const after = scope.open(again.url);
    const { visible, inFlight } = await after.count(QueueUrl);
    const left = bodiesOf(await after.receiveAll(QueueUrl, visible));
    expect(new Set(left).size).toBe(visible);
    expect(left.filter((body) => deleted.has(body))).toEqual([]);
    // What is neither left nor deleted was handed to a worker, and is in flight unless the last delete came through.
    const missing = [...sent].filter((body) => !deleted.has(body) && !left.includes(body));
    expect(missing.filter((body) => !received.has(body)).length).toBeLessThanOrEqual(inFlight);
    expect(left.filter((body) => received.has(body))).toEqual([]);
    expect(inFlight).toBeLessThanOrEqual(workers.length * 3);
  });
});

/** Works on and on until the server is killed. */
async function repeatUntilItFails(work: () => Promise<void>): Promise<void> {
  const outcome = await work().then(
    () => "done",
    () => "failed",
  );
  if (outcome === "done") await repeatUntilItFails(work);
}

describe("embedded SQS, when its disk fails", () => {
  it("answers an error for what it could not write, and keeps to what is on disk", async () => {
    const dataDir = await scope.makeDataDir();
    const first = await scope.start({ dataDir });
    const url = await scope.open(first.url).createQueue();
    await first.close();
    // A write that fails in the middle of a transaction, as on a full disk.
    const database = new DatabaseSync(join(dataDir, "sqs.sqlite"));
    database.exec(
      "CREATE TRIGGER full BEFORE INSERT ON contents WHEN NEW.body = 'too much' BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END",
    );
    database.close();
    const reported: string[] = [];
    const logger = { error: (_: unknown, message: string) => reported.push(message) };
    const server = await scope.start({ dataDir, port: first.port, logger });
    const session = scope.open(server.url);
    await session.send(url, "before");
    const refusal = await refusalOf(session.send(url, "too much"));
    expect([refusal.name, refusal.$metadata.httpStatusCode]).toEqual(["InternalFailure", 500]);
    expect(refusal.message).toContain("disk full");
    expect(reported.length).toBeGreaterThan(0);
    expect(await session.count(url)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
    await session.send(url, "after");
    expect(bodiesOf(await promptly(session.receiveAll(url, 2)))).toEqual(["before", "after"]);
  });

  it("keeps polls waiting over a failed write, and serves them afterwards", async () => {
    const dataDir = await scope.makeDataDir();
    const first = await scope.start({ dataDir });
    const url = await scope.open(first.url).createQueue();
    await first.close();
    const database = new DatabaseSync(join(dataDir, "sqs.sqlite"));
    database.exec(
      "CREATE TRIGGER full BEFORE INSERT ON contents WHEN NEW.body = 'too much' BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    );
    database.close();
    const server = await scope.start({ dataDir, port: first.port, logger: { error: () => undefined } });
    const session = scope.open(server.url);
    const poll = session.receive(url, { WaitTimeSeconds: 20 });
    await refusalOf(session.send(url, "too much"));
    await session.send(url, "served");
    expect(bodiesOf(await promptly(poll))).toEqual(["served"]);
  });
});

describe("embedded SQS and its end", () => {
  it("ends waiting polls empty and gives port and folder free", async () => {
    const dataDir = await scope.makeDataDir();
    const server = await scope.start({ dataDir });
    const session = scope.open(server.url);
    const url = await session.createQueue();
    const poll = session.receive(url, { WaitTimeSeconds: 20 });
    // The poll has to be there before the end begins; the count is answered after it, on another connection.
    await session.count(url);
    await promptly(server.close());
    expect(await promptly(poll)).toEqual([]);
    const again = await scope.start({ dataDir, port: server.port });
    expect(await session.count(url)).toEqual({ visible: 0, inFlight: 0, delayed: 0 });
    await again.close();
  });
});

describe("embedded SQS and its data folder", () => {
  it("refuses a folder that another server uses, and leaves that one alone", async () => {
    const dataDir = await scope.makeDataDir();
    const server = await scope.startProcess(dataDir);
    const second = createSqsServer({ dataDir, region: REGION, credentials: CREDENTIALS });
    await expect(second).rejects.toThrow(/in use by another server/);
    const session = scope.open(server.url);
    const url = await session.createQueue();
    await session.send(url, "still there");
    expect((await session.receiveOne(url)).Body).toBe("still there");
  });

  it("says so when its port is taken, and leaves the folder free", async () => {
    const { port } = await scope.start();
    const dataDir = await scope.makeDataDir();
    const second = createSqsServer({ dataDir, port, region: REGION, credentials: CREDENTIALS });
    await expect(second).rejects.toThrow(`Port ${port} on 127.0.0.1 is taken`);
    await scope.start({ dataDir });
  });

  it("refuses data of another version with a sentence that says so", async () => {
    const dataDir = await scope.makeDataDir();
    const database = new DatabaseSync(join(dataDir, "sqs.sqlite"));
    database.exec("PRAGMA user_version = 99");
    database.close();
    const server = createSqsServer({ dataDir, region: REGION, credentials: CREDENTIALS });
    await expect(server).rejects.toThrow(/version 99/);
  });
});
