import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openEngine, type SqsEngine } from "./engine.ts";
import { FakeClock } from "./fake-clock.ts";
import type { Delivery } from "./queue.ts";

// Random work on one queue, compared after each step with a model that is too simple to be wrong: a list of messages,
// searched from the start each time. The queue is also read anew from disk at random, which must change nothing.

type ModelMessage = { body: string; group: string; visibleAtMs: number; receiveCount: number };

type Step =
  | { kind: "send"; group: string; delaySeconds: number }
  | { kind: "receive"; count: number; visibilitySeconds: number }
  | { kind: "delete" | "giveBack"; pick: number }
  | { kind: "change"; pick: number; seconds: number }
  | { kind: "pass"; seconds: number }
  | { kind: "reload" };

const seconds = fc.constantFrom(0, 1, 2, 5, 30);
const group = fc.constantFrom("a", "b", "c");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("send" as const), group, delaySeconds: fc.constantFrom(0, 0, 0, 2) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("receive" as const),
      count: fc.integer({ min: 1, max: 4 }),
      visibilitySeconds: seconds,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete" as const), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("giveBack" as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("change" as const), pick: fc.nat(), seconds }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("pass" as const), seconds: fc.constantFrom(1, 3, 31) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload" as const) }) },
);

class Run {
  readonly #clock = new FakeClock();
  readonly #dataDir = mkdtempSync(join(tmpdir(), "sluice-sqs-model-"));
  readonly #engine: SqsEngine;
  readonly #isFifo: boolean;
  readonly #name: string;
  #model: ModelMessage[] = [];
  /** Deliveries of one message each, of which nothing was deleted or given back yet. */
  readonly #deliveries: { body: string; receiveCount: number; handle: string; delivery: Delivery }[] = [];
  #sentCount = 0;

  constructor(isFifo: boolean) {
    this.#isFifo = isFifo;
    this.#name = isFifo ? "q.fifo" : "q";
    const logger = { error: (details: unknown) => expect.unreachable(JSON.stringify(details)) };
    this.#engine = openEngine({ dataDir: this.#dataDir, region: "eu-central-1", clock: this.#clock }, logger);
    this.#engine.parts.registry.create(this.#name, isFifo ? { FifoQueue: "true" } : {}, {});
  }

  close(): void {
    this.#engine.endPolls();
    this.#engine.close();
    rmSync(this.#dataDir, { recursive: true });
  }

  get #queue() {
    return this.#engine.parts.registry.require(this.#name);
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "send":
        this.#send(step.group, this.#isFifo ? 0 : step.delaySeconds);
        break;
      case "receive":
        await this.#receive(step.count, step.visibilitySeconds);
        break;
      case "delete":
        this.#delete(step.pick);
        break;
      case "giveBack":
        this.#giveBack(step.pick);
        break;
      case "change":
        this.#change(step.pick, step.seconds);
        break;
      case "pass":
        this.#clock.advance(step.seconds * 1_000);
        break;
      case "reload":
        await this.#engine.store.settled();
        this.#engine.parts.registry.invalidate();
        this.#engine.parts.registry.load();
        break;
    }
    this.#compareCounts();
  }

  #send(groupId: string, delaySeconds: number): void {
    this.#sentCount += 1;
    const body = `${this.#sentCount}`;
    const deduplicationId = this.#isFifo ? body : undefined;
    const outgoing = { body, attributes: {}, systemAttributes: {}, delaySeconds, groupId, deduplicationId };
    this.#engine.parts.desk.send(this.#queue, outgoing);
    const visibleAtMs = this.#clock.now() + delaySeconds * 1_000;
    this.#model.push({ body, group: groupId, visibleAtMs, receiveCount: 0 });
  }

  async #receive(maxMessages: number, visibilitySeconds: number): Promise<void> {
    const request = { maxMessages, visibilityTimeoutMs: visibilitySeconds * 1_000 };
    const client = { isGone: false, onGone: () => () => undefined };
    const deliverable = this.#deliverable();
    const delivery = await this.#engine.parts.desk.receive(this.#queue, request, 0, client);
    expect(delivery.messages).toHaveLength(Math.min(maxMessages, deliverable.length));
    for (const message of delivery.messages) {
      const { body } = message.content;
      const modelled = deliverable.find((candidate) => candidate.body === body);
      if (modelled === undefined) throw new Error(`message ${body} was not to be delivered`);
      deliverable.splice(deliverable.indexOf(modelled), 1);
      // Of a FIFO group nothing may be left that was sent before.
      if (this.#isFifo)
        expect(deliverable.filter((one) => one.group === modelled.group && +one.body < +body)).toEqual([]);
      modelled.receiveCount += 1;
      modelled.visibleAtMs = this.#clock.now() + visibilitySeconds * 1_000;
      expect(message.receiveCount).toBe(modelled.receiveCount);
      const { receiveCount, receiptHandle: handle } = message;
      this.#deliveries.push({ body, receiveCount, handle, delivery: { ...delivery, messages: [message] } });
    }
  }

  /** The messages that a receive of any size could get. */
  #deliverable(): ModelMessage[] {
    const isVisible = (message: ModelMessage) => message.visibleAtMs <= this.#clock.now();
    if (!this.#isFifo) return this.#model.filter(isVisible);
    return this.#model.filter((message, index) =>
      this.#model.slice(0, index + 1).every((earlier) => earlier.group !== message.group || isVisible(earlier)),
    );
  }

  #delete(pick: number): void {
    const picked = this.#pick(pick);
    if (picked === undefined) return;
    const { entry, modelled, isCurrent, isHidden } = picked;
    const remove = () => this.#engine.parts.desk.delete(this.#queue, entry.handle);
    if (this.#isFifo && modelled !== undefined && !(isCurrent && isHidden)) {
      expect(remove).toThrow(/has expired/);
      return;
    }
    remove();
    if (isCurrent) this.#model = this.#model.filter((message) => message !== modelled);
  }

  #giveBack(pick: number): void {
    const picked = this.#pick(pick);
    if (picked === undefined) return;
    const { entry, modelled, isCurrent } = picked;
    this.#engine.parts.desk.giveBack(this.#name, entry.delivery);
    this.#deliveries.splice(this.#deliveries.indexOf(entry), 1);
    if (modelled === undefined || !isCurrent) return;
    modelled.receiveCount -= 1;
    modelled.visibleAtMs = this.#clock.now();
  }

  #change(pick: number, changedSeconds: number): void {
    const picked = this.#pick(pick);
    if (picked?.modelled === undefined) return;
    const { entry, modelled, isCurrent, isHidden } = picked;
    const change = () => this.#engine.parts.desk.changeVisibility(this.#queue, entry.handle, changedSeconds);
    if (this.#isFifo && !(isCurrent && isHidden)) {
      expect(change).toThrow(/has expired/);
      return;
    }
    change();
    if (isHidden) modelled.visibleAtMs = this.#clock.now() + changedSeconds * 1_000;
  }

  #pick(pick: number) {
    const entry = this.#deliveries[pick % Math.max(this.#deliveries.length, 1)];
    if (entry === undefined) return undefined;
    const modelled = this.#model.find(({ body }) => body === entry.body);
    const isCurrent = modelled?.receiveCount === entry.receiveCount;
    const isHidden = modelled !== undefined && modelled.visibleAtMs > this.#clock.now();
    return { entry, modelled, isCurrent, isHidden };
  }

  #compareCounts(): void {
    const hidden = this.#model.filter(({ visibleAtMs }) => visibleAtMs > this.#clock.now());
    const delayed = hidden.filter(({ receiveCount }) => receiveCount === 0).length;
    const ready = this.#model.length - hidden.length;
    this.#queue.releaseDue();
    expect(this.#queue.counts).toEqual({ ready, delayed, inFlight: hidden.length - delayed });
  }
}

describe("the engine and its model", () => {
  for (const isFifo of [false, true]) {
    it(`agree on a ${isFifo ? "FIFO" : "standard"} queue after any sequence of steps`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 100 }), async (steps) => {
          const run = new Run(isFifo);
          try {
            for (const next of steps) await run.take(next);
          } finally {
            run.close();
          }
        }),
        { numRuns: 100 },
      );
    }, 60_000);
  }
});
