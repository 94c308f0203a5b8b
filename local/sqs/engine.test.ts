import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { openEngine, type SqsEngine, type SqsEngineOptions } from "./engine.ts";
import { FakeClock } from "./fake-clock.ts";
import type { OutgoingMessage } from "./message-desk.ts";
import type { ClientConnection } from "./poll-line.ts";
import type { Delivery, Queue } from "./queue.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.reverse()) cleanup();
  cleanups.length = 0;
});

const STAYING_CLIENT: ClientConnection = { isGone: false, onGone: () => () => undefined };
const MINUTE_MS = 60_000;

/** An engine on a folder of its own, with a clock that stands still. */
function openTestEngine(limits: SqsEngineOptions["limits"] = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), "sluice-sqs-engine-"));
  const clock = new FakeClock();
  const errors: string[] = [];
  const logger = { error: (details: unknown) => errors.push(JSON.stringify(details)) };
  const engine = openEngine({ dataDir, region: "eu-central-1", clock, limits }, logger);
  cleanups.push(() => {
    engine.endPolls();
    engine.close();
    rmSync(dataDir, { recursive: true });
    expect(errors).toEqual([]);
    expect(clock.timerCount).toBe(0);
  });
  return { engine, clock };
}

function createQueue(engine: SqsEngine, name: string, attributes: Record<string, string> = {}): Queue {
  return engine.parts.registry.create(name, attributes, {});
}

function send(engine: SqsEngine, queue: Queue, body: string, more: Partial<OutgoingMessage> = {}) {
  const nothing = { delaySeconds: undefined, groupId: undefined, deduplicationId: undefined };
  return engine.parts.desk.send(queue, { body, attributes: {}, systemAttributes: {}, ...nothing, ...more });
}

function receive(
  engine: SqsEngine,
  queue: Queue,
  maxMessages = 10,
  visibilitySeconds = 30,
  waitMs = 0,
): Promise<Delivery> {
  const request = { maxMessages, visibilityTimeoutMs: visibilitySeconds * 1_000 };
  return engine.parts.desk.receive(queue, request, waitMs, STAYING_CLIENT);
}

const bodiesOf = (delivery: Delivery) => delivery.messages.map(({ content }) => content.body);

describe("retention", () => {
  it("removes messages when their time is over, those in flight too, and no sooner", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q", { MessageRetentionPeriod: "60" });
    for (const body of ["held", "ready", "delayed"]) {
      send(engine, queue, body, body === "delayed" ? { delaySeconds: 900 } : {});
    }
    const { messages } = await receive(engine, queue, 1, 600);
    clock.advance(MINUTE_MS - 1);
    expect(queue.counts).toEqual({ ready: 1, delayed: 1, inFlight: 1 });
    clock.advance(1_000);
    expect(queue.counts).toEqual({ ready: 0, delayed: 0, inFlight: 0 });
    engine.parts.desk.delete(queue, messages[0]?.receiptHandle ?? "");
  });

  it("never hands out a message whose time was over while timers stood still", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q", { MessageRetentionPeriod: "60" });
    send(engine, queue, "too old");
    clock.sleep(2 * MINUTE_MS);
    expect(bodiesOf(await receive(engine, queue))).toEqual([]);
  });

  it("applies a shorter period to the messages that are there", () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    send(engine, queue, "old");
    clock.advance(2 * MINUTE_MS);
    send(engine, queue, "new");
    engine.parts.registry.setAttributes(queue, { MessageRetentionPeriod: "60" });
    clock.advance(1);
    expect(queue.counts.ready).toBe(1);
    clock.advance(MINUTE_MS);
    expect(queue.counts.ready).toBe(0);
  });

  it("counts from the first send also in a dead-letter queue", async () => {
    const { engine, clock } = openTestEngine();
    const dead = createQueue(engine, "dead", { MessageRetentionPeriod: "120" });
    const policy = { deadLetterTargetArn: dead.identity.arn, maxReceiveCount: 1 };
    const queue = createQueue(engine, "q", { RedrivePolicy: JSON.stringify(policy) });
    send(engine, queue, "spent");
    await receive(engine, queue, 1, 0);
    clock.advance(MINUTE_MS);
    await receive(engine, queue);
    expect(dead.counts.ready).toBe(1);
    clock.advance(MINUTE_MS + 1_000);
    expect(dead.counts.ready).toBe(0);
  });
});

describe("deduplication", () => {
  it("recognises a repeated send for five minutes and not longer", () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q.fifo", { FifoQueue: "true" });
    const ids = { groupId: "g", deduplicationId: "once" };
    const first = send(engine, queue, "first", ids);
    clock.advance(5 * MINUTE_MS - 1);
    expect(send(engine, queue, "repeated", ids)).toEqual(first);
    clock.advance(1);
    expect(send(engine, queue, "new", ids).messageId).not.toBe(first.messageId);
    expect(queue.counts.ready).toBe(2);
  });
});

describe("visibility", () => {
  it("ends a receive's visibility at its time, and serves the poll that waits", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    send(engine, queue, "again");
    await receive(engine, queue, 1, 30);
    let answer: Delivery | undefined;
    const poll = receive(engine, queue, 1, 30, 20_000 * 1_000).then((delivery) => {
      answer = delivery;
    });
    clock.advance(29_999);
    expect(queue.counts.inFlight).toBe(1);
    expect(answer).toBeUndefined();
    clock.advance(1);
    await poll;
    expect(answer?.messages[0]?.receiveCount).toBe(2);
  });

  it("goes by the clock after a sleep in which timers stood still", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    send(engine, queue, "again");
    await receive(engine, queue, 1, 600);
    clock.sleep(600_000);
    expect(bodiesOf(await receive(engine, queue))).toEqual(["again"]);
    clock.sleep(3_600_000);
    // Without a request, too: at the latest half a minute after waking up.
    clock.advance(30_000);
    expect(queue.counts).toEqual({ ready: 1, delayed: 0, inFlight: 0 });
  });

  it("can be extended to twelve hours from the receive, and not beyond", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    send(engine, queue, "long");
    const { messages } = await receive(engine, queue);
    const handle = messages[0]?.receiptHandle ?? "";
    engine.parts.desk.changeVisibility(queue, handle, 43_200);
    clock.advance(3_600_000);
    expect(() => engine.parts.desk.changeVisibility(queue, handle, 39_601)).toThrow(
      /beyond the limit \[43200 seconds\]/,
    );
    engine.parts.desk.changeVisibility(queue, handle, 39_600);
    clock.advance(39_600_000);
    expect(queue.counts).toEqual({ ready: 1, delayed: 0, inFlight: 0 });
  });

  it("obeys an older receipt on a standard queue, as AWS does, and refuses it on a FIFO queue", async () => {
    const { engine } = openTestEngine();
    const standard = createQueue(engine, "q");
    send(engine, standard, "twice");
    const older = (await receive(engine, standard, 1, 0)).messages[0]?.receiptHandle ?? "";
    await receive(engine, standard, 1, 600);
    engine.parts.desk.changeVisibility(standard, older, 0);
    expect(standard.counts.ready).toBe(1);
    const fifo = createQueue(engine, "q.fifo", { FifoQueue: "true" });
    send(engine, fifo, "twice", { groupId: "g", deduplicationId: "d" });
    const expired = (await receive(engine, fifo, 1, 0)).messages[0]?.receiptHandle ?? "";
    await receive(engine, fifo, 1, 600);
    expect(() => engine.parts.desk.changeVisibility(fifo, expired, 0)).toThrow(/has expired/);
    expect(fifo.counts.inFlight).toBe(1);
  });
});

describe("a delivery that never reached its client", () => {
  it("is taken back whole: order, counts and times as before", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    for (const body of ["1", "2", "3"]) send(engine, queue, body);
    const lost = await receive(engine, queue, 2);
    engine.parts.desk.giveBack("q", lost);
    expect(queue.counts).toEqual({ ready: 3, delayed: 0, inFlight: 0 });
    clock.advance(5_000);
    const { messages } = await receive(engine, queue, 3);
    expect(messages.map(({ content, receiveCount }) => [content.body, receiveCount])).toEqual([
      ["1", 1],
      ["2", 1],
      ["3", 1],
    ]);
    expect(messages[0]?.firstReceivedAtMs).toBe(clock.now());
  });

  it("is left alone where somebody else has received the message since", async () => {
    const { engine, clock } = openTestEngine();
    const queue = createQueue(engine, "q");
    send(engine, queue, "once");
    const lost = await receive(engine, queue, 1, 1);
    clock.advance(1_000);
    await receive(engine, queue, 1, 600);
    engine.parts.desk.giveBack("q", lost);
    expect(queue.counts.inFlight).toBe(1);
  });
});

describe("dead-letter queues", () => {
  const redrive = (queue: Queue) => JSON.stringify({ deadLetterTargetArn: queue.identity.arn, maxReceiveCount: 1 });

  it("count the receives for their own limit anew", async () => {
    const { engine } = openTestEngine();
    const third = createQueue(engine, "third");
    const second = createQueue(engine, "second", { RedrivePolicy: redrive(third) });
    const first = createQueue(engine, "first", { RedrivePolicy: redrive(second) });
    send(engine, first, "passed on");
    for (const queue of [first, second]) {
      expect(bodiesOf(await receive(engine, queue, 1, 0))).toEqual(["passed on"]);
      expect(bodiesOf(await receive(engine, queue, 1, 0))).toEqual([]);
    }
    const { messages } = await receive(engine, third);
    expect(messages[0]?.receiveCount).toBe(3);
  });

  it("may form a ring without a message going round by itself", async () => {
    const { engine } = openTestEngine();
    const one = createQueue(engine, "one");
    const other = createQueue(engine, "other", { RedrivePolicy: redrive(one) });
    engine.parts.registry.setAttributes(one, { RedrivePolicy: redrive(other) });
    send(engine, one, "round");
    await receive(engine, one, 1, 0);
    const polls = [receive(engine, one, 1, 0, 1_000), receive(engine, other, 1, 600, 1_000)];
    engine.parts.desk.stir(one);
    const deliveries = await Promise.race(polls);
    expect(bodiesOf(deliveries)).toEqual(["round"]);
    expect(one.counts.ready + other.counts.ready + other.counts.inFlight).toBe(1);
  });

  it("keep what cannot be moved because the queue is gone", async () => {
    const { engine } = openTestEngine();
    const dead = createQueue(engine, "dead");
    const queue = createQueue(engine, "q", { RedrivePolicy: redrive(dead) });
    send(engine, queue, "kept");
    engine.parts.registry.delete(dead);
    for (const count of [1, 2, 3]) {
      expect((await receive(engine, queue, 1, 0)).messages[0]?.receiveCount).toBe(count);
    }
  });

  it("are emptied at the wanted rate", async () => {
    const { engine, clock } = openTestEngine();
    const dead = createQueue(engine, "dead");
    const queue = createQueue(engine, "q", { RedrivePolicy: redrive(dead) });
    for (let index = 0; index < 100; index += 1) send(engine, dead, `${index}`);
    engine.parts.moveTasks.start(dead.identity.arn, queue.identity.arn, 20);
    clock.advance(999);
    expect(queue.counts.ready).toBe(20);
    clock.advance(4_000);
    expect(queue.counts.ready).toBe(100);
    const [latest] = engine.parts.moveTasks.list(dead.identity.arn, 1);
    clock.advance(1_000);
    expect(latest?.task.messagesToMove).toBe(100);
    expect(engine.parts.moveTasks.list(dead.identity.arn, 1)[0]?.task.status).toBe("COMPLETED");
  });

  it("stop a move at a message that did not come from a queue", () => {
    const { engine, clock } = openTestEngine();
    const dead = createQueue(engine, "dead");
    createQueue(engine, "q", { RedrivePolicy: redrive(dead) });
    send(engine, dead, "sent here");
    engine.parts.moveTasks.start(dead.identity.arn, undefined, undefined);
    clock.advance(1);
    const [latest] = engine.parts.moveTasks.list(dead.identity.arn, 1);
    expect(latest?.task).toMatchObject({ status: "FAILED", failureReason: "CouldNotDetermineMessageSource" });
    expect(dead.counts.ready).toBe(1);
  });
});

describe("names", () => {
  it("are free again a minute after a queue was deleted", () => {
    const { engine, clock } = openTestEngine();
    engine.parts.registry.delete(createQueue(engine, "q"));
    clock.advance(MINUTE_MS - 1);
    expect(() => createQueue(engine, "q")).toThrow(/60 seconds/);
    clock.advance(1);
    expect(createQueue(engine, "q").identity.name).toBe("q");
  });
});
