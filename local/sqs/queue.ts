import { Alarm, type Clock } from "./clock.ts";
import { DeadlineHeap } from "./deadline-heap.ts";
import { type DeliveryCursor, type DeliveryLine, FairLine, OrderedLine, type QueuedMessage } from "./delivery-line.ts";
import type { PollLine } from "./poll-line.ts";
import { deriveSettings, type QueueAttributes, type QueueSettings } from "./queue-attributes.ts";
import type { MessageContent } from "./store.ts";

/** What identifies a queue for good: another queue of the same name later has another id and key. */
export type QueueIdentity = {
  readonly queueId: number;
  /** Random, part of each receipt handle. */
  readonly queueKey: string;
  readonly name: string;
  readonly arn: string;
  readonly createdAtMs: number;
};

/** One message as a receive hands it out. */
export type ReceivedMessage = {
  readonly row: number;
  readonly groupId: string;
  readonly sentAtMs: number;
  readonly receiveCount: number;
  readonly firstReceivedAtMs: number;
  readonly receiptHandle: string;
  readonly content: MessageContent;
};

/** The outcome of a receive: not to be sent before it is committed, and given back if it cannot be sent. */
export type Delivery = {
  readonly messages: readonly ReceivedMessage[];
  readonly committed: Promise<void>;
};

/** The answer of a receive that found nothing. */
export const EMPTY_DELIVERY: Delivery = { messages: [], committed: Promise.resolve() };

/** What happens by itself as time passes; the queue only says when. */
export type QueueEvents = {
  /** Messages became ready because a delay or a visibility timeout ran out. */
  readonly onReady: (queue: Queue) => void;
  /** The oldest message has reached the retention period. */
  readonly onRetentionDue: (queue: Queue) => void;
};

/** Even if messages expire one by one, the queue is not searched for them more often than this. */
const MIN_RETENTION_SEARCH_MS = 1_000;

/** One queue in memory: which messages are where, and who waits for them. It writes nothing. */
export class Queue {
  readonly identity: QueueIdentity;
  readonly polls: PollLine<Delivery>;
  readonly #clock: Clock;
  readonly #events: QueueEvents;
  readonly #messages = new Map<number, QueuedMessage>();
  readonly #line: DeliveryLine;
  readonly #waiting = new DeadlineHeap<QueuedMessage>();
  readonly #readyAlarm: Alarm;
  readonly #retentionAlarm: Alarm;
  #attributes: QueueAttributes;
  #settings: QueueSettings;
  #inFlightCount = 0;
  tags: Readonly<Record<string, string>>;
  modifiedAtMs: number;
  purgedAtMs: number | undefined;

  constructor(
    identity: QueueIdentity,
    state: { attributes: QueueAttributes; tags: Readonly<Record<string, string>>; modifiedAtMs: number },
    dependencies: { clock: Clock; events: QueueEvents; polls: PollLine<Delivery> },
  ) {
    this.identity = identity;
    this.#attributes = state.attributes;
    this.#settings = deriveSettings(state.attributes);
    this.tags = state.tags;
    this.modifiedAtMs = state.modifiedAtMs;
    this.#clock = dependencies.clock;
    this.#events = dependencies.events;
    this.polls = dependencies.polls;
    this.#line = this.#settings.isFifo ? new OrderedLine() : new FairLine();
    this.#readyAlarm = new Alarm(this.#clock, () => this.#events.onReady(this));
    this.#retentionAlarm = new Alarm(this.#clock, () => this.#events.onRetentionDue(this));
  }

  get attributes(): QueueAttributes {
    return this.#attributes;
  }

  get settings(): QueueSettings {
    return this.#settings;
  }

  /** Takes new attributes over; a shorter retention period applies to the messages that are there. */
  setAttributes(attributes: QueueAttributes, modifiedAtMs: number): void {
    this.#attributes = attributes;
    this.#settings = deriveSettings(attributes);
    this.modifiedAtMs = modifiedAtMs;
    this.#retentionAlarm.set(this.#clock.now());
  }

  /** Exact counts of the three states. */
  get counts(): { ready: number; delayed: number; inFlight: number } {
    const waiting = this.#waiting.size;
    return {
      ready: this.#messages.size - waiting,
      delayed: waiting - this.#inFlightCount,
      inFlight: this.#inFlightCount,
    };
  }

  get hasDeliverable(): boolean {
    return this.#line.hasDeliverable;
  }

  find(row: number): QueuedMessage | undefined {
    return this.#messages.get(row);
  }

  add(message: QueuedMessage): void {
    this.#messages.set(message.row, message);
    if (message.state !== "ready") this.#waiting.add(message);
    if (message.state === "inFlight") this.#inFlightCount += 1;
    this.#line.add(message);
    this.#armReady();
    this.#retentionAlarm.setIfEarlier(this.#expiresAtMs(message.sentAtMs));
  }

  remove(message: QueuedMessage): void {
    if (!this.#messages.delete(message.row)) return;
    if (message.state !== "ready") this.#waiting.remove(message);
    if (message.state === "inFlight") this.#inFlightCount -= 1;
    this.#line.remove(message);
    this.#armReady();
  }

  /** Hides a message until a time, because it was received or because its visibility was changed. */
  hide(message: QueuedMessage, visibleAtMs: number): void {
    message.visibleAtMs = visibleAtMs;
    if (message.state === "ready") {
      message.state = "inFlight";
      this.#inFlightCount += 1;
      this.#waiting.add(message);
      this.#line.update(message);
    } else {
      this.#waiting.update(message);
    }
    this.#armReady();
  }

  /** Makes a message deliverable now. With `ahead` it is the next of its group, as if it had never been received. */
  release(message: QueuedMessage, ahead = false): void {
    if (message.state === "ready") return;
    if (message.state === "inFlight") this.#inFlightCount -= 1;
    this.#waiting.remove(message);
    message.state = "ready";
    message.visibleAtMs = this.#clock.now();
    if (ahead) this.#line.putBack(message);
    else this.#line.update(message);
    this.#armReady();
  }

  /** Makes everything deliverable whose delay or visibility timeout has run out. */
  releaseDue(): void {
    const now = this.#clock.now();
    for (let due = this.#waiting.earliest; due !== undefined && due.visibleAtMs <= now; due = this.#waiting.earliest) {
      this.release(due);
    }
    this.#armReady();
  }

  openCursor(): DeliveryCursor {
    return this.#line.openCursor();
  }

  isExpired(message: QueuedMessage): boolean {
    return this.#expiresAtMs(message.sentAtMs) <= this.#clock.now();
  }

  /** Finds the messages older than the retention period, and sets the alarm for the next one. */
  findExpired(): QueuedMessage[] {
    const expired: QueuedMessage[] = [];
    let oldestSentAtMs: number | undefined;
    for (const message of this.#messages.values()) {
      if (this.isExpired(message)) expired.push(message);
      else if (oldestSentAtMs === undefined || message.sentAtMs < oldestSentAtMs) oldestSentAtMs = message.sentAtMs;
    }
    if (oldestSentAtMs !== undefined) {
      const soonestMs = this.#clock.now() + MIN_RETENTION_SEARCH_MS;
      this.#retentionAlarm.set(Math.max(this.#expiresAtMs(oldestSentAtMs), soonestMs));
    }
    return expired;
  }

  /** Forgets all messages; nothing is left of them but the polls that wait. */
  clear(): void {
    for (const message of this.#messages.values()) this.remove(message);
    this.#retentionAlarm.set(undefined);
  }

  /** Stops the timers of a queue that is no more. */
  dispose(): void {
    this.#readyAlarm.set(undefined);
    this.#retentionAlarm.set(undefined);
  }

  #armReady(): void {
    this.#readyAlarm.set(this.#waiting.earliest?.visibleAtMs);
  }

  #expiresAtMs(sentAtMs: number): number {
    return sentAtMs + this.#settings.retentionSeconds * 1_000;
  }
}
