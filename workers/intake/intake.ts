import { randomUUID } from "node:crypto";
import { setImmediate as untilNextTurn } from "node:timers/promises";
import type { Queue, ReceivedMessage } from "../../shared/clients/queue.ts";
import { isOverLimit, queueBatchSize } from "../../shared/clients/queue.ts";
import { type TaskMessage, taskMessageSchema } from "../../shared/domain/task-message.ts";
import type { Logger } from "../../shared/log.ts";
import { parseJson } from "../../shared/parse-json.ts";
import { ControlPlaneError } from "../control-plane-call.ts";
import type { ControlPlaneClient } from "../control-plane-client.ts";
import { messageOf, retryWithBackoff, sleep } from "../retry.ts";
import type { WorkerClaim, WorkerTask } from "../worker-claim.ts";
import type { HeldMessages } from "./held-messages.ts";
import { type Placement, SlotPlacement } from "./placement.ts";

/** A received message with what it says. */
export interface IntakeItem {
  message: ReceivedMessage;
  task: TaskMessage;
  slots: number;
}

export interface IntakeOptions {
  workerId: string;
  queue: Queue;
  client: ControlPlaneClient;
  held: HeldMessages;
  slots: number;
  receiveWaitSeconds: number;
  nowMs: () => number;
  log: Logger;
  /** Once it has stopped, claims without an answer are broken off after this time. */
  lastClaimsMs?: number;
  /** Runs a claimed task; `claimedAtMs` is when the claim was sent. Its slots are given back by `taskEnded`. */
  startTask: (claimed: WorkerTask, item: IntakeItem, claimedAtMs: number) => void;
}

/** Few: what waits here could run elsewhere. */
const maxHeld = 10;
const passWindowMs = 15_000;
const claimDeadlineMs = 10_000;
/**
 * A worker that ends does not wait longer for an answer. A claim that is granted all the same costs its task the time of a
 * lease, so a control plane that is only slow gets the time of a cold start.
 */
const lastClaimsMs = 5_000;
/** A message that this worker can never run goes back for this long, so that workers with more slots find it. */
const oversizedDelaySeconds = 300;
/** A message that finds no room here goes back; not at once, or it would come straight back. */
const surplusDelaySeconds = 1;
/** A message that comes again and again is put off for ever longer, up to this: each receive is one of its last. */
const longestDelaySeconds = 300;
const promptReceives = 5;
const overLimitAdvice =
  "the queue gives out nothing: it has as many messages in flight as SQS allows (120,000). More come when tasks end";
/** After a refusal that trying again does not change, such as a wrong token. */
const refusedDelaySeconds = 20;

/**
 * Takes tasks from the queue: as many as there are free slots, one poll at a time. A received message is claimed, and
 * a claimed task started, without holding up the next poll; but while the queue has more than is asked for, a few free
 * slots wait for the claims under way. Where tasks end faster than claims are answered, their successors come together.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #placement: SlotPlacement<IntakeItem>;
  #stop = new AbortController();
  /** Breaks claims off that are under way. */
  #lastCall = new AbortController();
  readonly #claims = new Set<Promise<void>>();
  #polling: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  /** Claims that the control plane does not answer; while there are any, more messages are not taken. */
  #stuckClaims = 0;
  /** The last poll brought all it asked for: more is waiting. */
  #backlog = false;
  #paused = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#placement = new SlotPlacement({ slots: options.slots, maxHeld, passWindowMs });
  }

  /** Slots that tasks could get right now. */
  get freeSlots(): number {
    return this.#paused ? 0 : this.#placement.freeSlots;
  }

  /** Whether no message waits, is claimed or has a task running. */
  get isIdle(): boolean {
    return this.#placement.freeSlots === this.#options.slots;
  }

  /** Begins to take tasks, also again after a stop. */
  start(): void {
    if (this.#stop.signal.aborted) this.#stop = new AbortController();
    if (this.#lastCall.signal.aborted) this.#lastCall = new AbortController();
    this.#polling = Promise.all([this.#polling, this.#poll(this.#stop.signal)]).then(() => undefined);
  }

  /** Ends the intake, also a poll under way: what arrives late goes back, what waits goes back, claims are answered. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error("the intake has stopped"));
    this.#wake?.();
    for (const item of this.#placement.takeHeld()) this.#options.held.release(item.message, 0);
    const { signal } = this.#stop;
    await this.#polling;
    // One that has begun anew has claims of its own.
    const isLast = () => signal === this.#stop.signal;
    const giveUp = () => isLast() && this.#lastCall.abort(new Error("the intake has stopped"));
    const timer = setTimeout(giveUp, this.#options.lastClaimsMs ?? lastClaimsMs);
    while (this.#claims.size > 0 && isLast()) await Promise.all(this.#claims);
    clearTimeout(timer);
  }

  /** Takes nothing until `resume`: what waits here, and what a poll under way still brings, is left to others. */
  pause(): void {
    this.#paused = true;
    for (const item of this.#placement.takeHeld()) this.#options.held.release(item.message, surplusDelaySeconds);
  }

  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  /** Gives the slots of a started task back and fills them again. */
  taskEnded(item: IntakeItem): void {
    this.#placement.release(item);
    this.#fillFromHeld();
    this.#wake?.();
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { queue, receiveWaitSeconds, nowMs, log } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      // All tasks that one answer of the control plane ends have given back their slots by then.
      await untilNextTurn();
      // A stop that came in that turn has woken nobody.
      if (signal.aborted) return;
      const size = this.#pollSize(nowMs());
      if (size === 0) {
        await this.#untilWoken();
        continue;
      }
      try {
        const messages = await queue.receive({ maxMessages: size, waitSeconds: receiveWaitSeconds, signal });
        this.#backlog = messages.length === size;
        this.#take(messages);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        if (!isOverLimit(error)) log.warn({ reason: messageOf(error), failures }, "the queue did not answer");
        else if (failures === 1) log.warn(overLimitAdvice);
        await sleep(Math.min(10_000, 250 * 2 ** failures) * (0.5 + Math.random() / 2), signal);
      }
    }
  }

  #pollSize(nowMs: number): number {
    if (this.#paused || this.#stuckClaims > 0) return 0;
    const size = Math.min(queueBatchSize, this.#placement.pollSize(nowMs));
    return size < queueBatchSize && this.#backlog && this.#claims.size > 0 ? 0 : size;
  }

  #untilWoken(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = () => {
      this.#wake = undefined;
      resolve();
    };
    return promise;
  }

  #take(messages: readonly ReceivedMessage[]): void {
    const { held, nowMs, log } = this.#options;
    const items = messages.flatMap((message) => this.#read(message) ?? []);
    held.hold(items.map((item) => item.message));
    const placed: IntakeItem[] = [];
    for (const item of items) {
      const placement = this.#place(item, nowMs());
      if (placement === "placed") placed.push(item);
      if (placement === "stopped") held.release(item.message, 0);
      if (placement === "surplus") held.release(item.message, surplusDelaySeconds);
      if (placement === "oversized") {
        const { jobId, task } = item.task;
        log.warn({ jobId, task, slots: item.slots }, "a task needs more slots than this worker has: left to others");
        held.release(item.message, oversizedDelaySeconds);
      }
    }
    this.#claim(placed);
  }

  #place(item: IntakeItem, nowMs: number): Placement | "stopped" {
    if (this.#stop.signal.aborted) return "stopped";
    return this.#paused ? "surplus" : this.#placement.offer(item, nowMs);
  }

  /** A body that says nothing is left to its fate: after enough receives it is in the dead-letter queue. */
  #read(message: ReceivedMessage): IntakeItem | undefined {
    const parsed = taskMessageSchema.safeParse(parseJson(message.body));
    if (parsed.success) return { message, task: parsed.data, slots: parsed.data.slots };
    this.#options.log.error({ messageId: message.messageId }, "a message is no task: left for the dead-letter queue");
    return undefined;
  }

  #fillFromHeld(): void {
    if (this.#stop.signal.aborted || this.#stuckClaims > 0) return;
    this.#claim(this.#placement.placeHeld(this.#options.nowMs()));
  }

  #claim(items: readonly IntakeItem[]): void {
    for (let start = 0; start < items.length; start += queueBatchSize) {
      const claim = this.#claimBatch(items.slice(start, start + queueBatchSize)).finally(() => {
        this.#claims.delete(claim);
        // Whatever became of it: the poll may have waited for it, also one that began after a stop.
        this.#wake?.();
      });
      this.#claims.add(claim);
    }
  }

  async #claimBatch(items: readonly IntakeItem[]): Promise<void> {
    const { signal } = this.#stop;
    const options = { deadlineMs: claimDeadlineMs, signal: this.#lastCall.signal };
    const claims = items.map(({ task: { jobId, task, bucket } }) => {
      return { jobId, task, bucket, leaseToken: randomUUID() };
    });
    let answer: WorkerClaim[] | undefined;
    let sentAtMs = 0;
    let stuck = false;
    try {
      await retryWithBackoff(
        async () => {
          sentAtMs = this.#options.nowMs();
          answer = await this.#options.client.claim(this.#options.workerId, claims, options);
        },
        {
          signal,
          isRetryable: (error) => error instanceof ControlPlaneError && error.retryable,
          onFailure: (error) => {
            // The messages stay held: every other receive would count towards the dead-letter queue.
            if (!stuck) this.#stuckClaims++;
            stuck = true;
            this.#options.log.warn({ reason: error.message }, "the control plane does not answer claims");
          },
        },
      );
    } catch (error) {
      // A claim that was answered while the intake stopped counts: the leases are this worker's to give back.
      if (answer === undefined) return this.#giveBack(items, signal.aborted, error);
    } finally {
      if (stuck) this.#stuckClaims--;
    }
    for (const [index, item] of items.entries()) this.#act(item, answer?.[index], sentAtMs);
    if (stuck) this.#fillFromHeld();
  }

  #act(item: IntakeItem, answer: WorkerClaim | undefined, sentAtMs: number): void {
    const { held, log, startTask } = this.#options;
    const { jobId, task } = item.task;
    switch (answer?.status) {
      case "claimed":
        startTask(answer, item, sentAtMs);
        return;
      case "drop":
        log.info({ jobId, task, detail: answer.detail }, "a message's task is over: dropped");
        held.delete(item.message);
        break;
      case "wait":
        log.info({ jobId, task, detail: answer.detail }, "a task is held by another attempt: later");
        this.#putOff(item, answer.retryAfterSeconds);
        break;
      default:
        log.error({ jobId, task }, "the control plane left a claim unanswered");
        this.#putOff(item, surplusDelaySeconds);
    }
    this.taskEnded(item);
  }

  #putOff({ message }: IntakeItem, delaySeconds: number): void {
    const often = message.receiveCount - promptReceives;
    const backoffSeconds = often > 0 ? Math.min(longestDelaySeconds, 2 ** often) : 0;
    this.#options.held.release(message, Math.max(delaySeconds, backoffSeconds));
  }

  /** Claims that came to nothing: the worker is stopping, or the control plane refuses the worker itself. */
  #giveBack(items: readonly IntakeItem[], stopped: boolean, error: unknown): void {
    for (const item of items) {
      if (stopped) this.#options.held.release(item.message, 0);
      else this.#putOff(item, refusedDelaySeconds);
      this.#placement.release(item);
    }
    if (stopped) return;
    this.#options.log.error({ reason: messageOf(error) }, "the control plane refuses this worker's claims");
    this.#stuckClaims++;
    void sleep(refusedDelaySeconds * 1000, this.#stop.signal).then(() => {
      this.#stuckClaims--;
      this.#fillFromHeld();
      this.#wake?.();
    });
  }
}
