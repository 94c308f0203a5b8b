import { hash, randomUUID } from "node:crypto";
import type { Clock } from "./clock.ts";
import { createQueuedMessage, type MessageState, type QueuedMessage } from "./delivery-line.ts";
import { refuseValue, SqsError } from "./errors.ts";
import type { MessageAttributes } from "./message-attributes.ts";
import type { ClientConnection, ReceiveRequest } from "./poll-line.ts";
import { type Delivery, EMPTY_DELIVERY, type Queue, type ReceivedMessage } from "./queue.ts";
import type { QueueRegistry } from "./queue-registry.ts";
import { decodeReceipt, encodeReceipt } from "./receipt-handle.ts";
import type { MessageContent, MessageRecord, SqsStore } from "./store.ts";

/** A message that has passed all checks and can be queued. */
export type OutgoingMessage = {
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly systemAttributes: MessageAttributes;
  /** Undefined for the queue's own delay. */
  readonly delaySeconds: number | undefined;
  readonly groupId: string | undefined;
  readonly deduplicationId: string | undefined;
};

/** What a sender learns of a message that was queued. */
export type SentMessage = { readonly messageId: string; readonly sequenceNumber: string | undefined };

/** Figures of AWS that a test may want smaller. */
export type SqsLimits = {
  /** Messages in flight at once in a standard and in a FIFO queue. */
  readonly inFlightStandard: number;
  readonly inFlightFifo: number;
  readonly deduplicationSeconds: number;
};

/** AWS's own figures. */
export const AWS_LIMITS: SqsLimits = { inFlightStandard: 120_000, inFlightFifo: 120_000, deduplicationSeconds: 300 };

const MAX_TOTAL_VISIBILITY_SECONDS = 43_200;
const DEDUPLICATION_SWEEP_MS = 60_000;
/** Sequence numbers are 20 digits long and grow, so that they also compare as text. */
const SEQUENCE_BASE = 10_000_000_000_000_000_000n;

/**
 * Everything that happens to messages. Each method changes memory and the open transaction in one go, without waiting in
 * between, so that no two requests ever see each other half done.
 */
export class MessageDesk {
  readonly #store: SqsStore;
  readonly #registry: QueueRegistry;
  readonly #clock: Clock;
  readonly #limits: SqsLimits;
  /** Queues that may have something for the polls that wait at them. */
  readonly #stirred = new Set<Queue>();
  #nextDeduplicationSweepMs = 0;

  constructor(store: SqsStore, registry: QueueRegistry, clock: Clock, limits: SqsLimits) {
    this.#store = store;
    this.#registry = registry;
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Queues a message, or recognises it as a repetition and answers what the first send was answered. */
  send(queue: Queue, outgoing: OutgoingMessage): SentMessage {
    const { queueId } = queue.identity;
    const now = this.#clock.now();
    const row = this.#store.nextRow();
    const sequenceNumber = queue.settings.isFifo ? String(SEQUENCE_BASE + BigInt(row)) : undefined;
    const deduplicationId = queue.settings.isFifo
      ? (outgoing.deduplicationId ?? hash("sha256", outgoing.body))
      : undefined;
    const sent = { messageId: randomUUID(), sequenceNumber };
    if (deduplicationId !== undefined && sequenceNumber !== undefined) {
      const scope = queue.settings.deduplicatesPerGroup ? (outgoing.groupId ?? "") : "";
      const key = { queueId, scope, deduplicationId };
      const first = this.#store.findDeduplication(key, now);
      if (first !== undefined) return first;
      this.#rememberSend(key, { messageId: sent.messageId, sequenceNumber }, now);
    }
    const delaySeconds = outgoing.delaySeconds ?? queue.settings.delaySeconds;
    const record: MessageRecord = {
      row,
      queueId,
      groupId: outgoing.groupId ?? "",
      sentAtMs: now,
      visibleAtMs: now + delaySeconds * 1_000,
      receiveCount: 0,
      priorReceiveCount: 0,
      firstReceivedAtMs: undefined,
      receivedAtMs: undefined,
    };
    const { body, attributes, systemAttributes } = outgoing;
    const content = { ...sent, body, attributes, systemAttributes, deduplicationId, deadLetterSourceArn: undefined };
    this.insert(queue, record, content, delaySeconds > 0 ? "delayed" : "ready");
    return sent;
  }

  /** Puts a message into a queue, wherever it comes from. */
  insert(queue: Queue, record: MessageRecord, content: MessageContent, state: MessageState): void {
    this.#store.insertMessage(record, content);
    queue.add(createQueuedMessage(record, state));
    this.#stirred.add(queue);
  }

  #rememberSend(
    key: { queueId: number; scope: string; deduplicationId: string },
    sent: { messageId: string; sequenceNumber: string },
    now: number,
  ): void {
    if (now >= this.#nextDeduplicationSweepMs) {
      this.#store.deleteExpiredDeduplications(now);
      this.#nextDeduplicationSweepMs = now + DEDUPLICATION_SWEEP_MS;
    }
    this.#store.insertDeduplication(key, sent, now + this.#limits.deduplicationSeconds * 1_000);
  }

  /** Takes messages at once, or waits for some as long as the client stays. */
  receive(queue: Queue, request: ReceiveRequest, waitMs: number, client: ClientConnection): Promise<Delivery> {
    queue.releaseDue();
    const delivery = this.#take(queue, request);
    this.wakePolls();
    if (delivery.messages.length > 0) return Promise.resolve(delivery);
    if (waitMs > 0) return queue.polls.wait(request, waitMs, client, EMPTY_DELIVERY);
    // As AWS does: only a short poll on a standard queue hears of the limit, all others get nothing.
    if (!queue.settings.isFifo && queue.hasDeliverable && this.#roomInFlight(queue) === 0) {
      throw new SqsError(
        "OverLimit",
        "Too many messages are in flight: delete some, or let them become visible again.",
      );
    }
    return Promise.resolve(EMPTY_DELIVERY);
  }

  /** Hands messages to waiting polls, longest waiting first, for every queue that has changed. */
  wakePolls(): void {
    for (const queue of this.#stirred) {
      this.#stirred.delete(queue);
      for (let poll = queue.polls.first; poll !== undefined && queue.hasDeliverable; poll = queue.polls.first) {
        const delivery = this.#take(queue, poll.request);
        if (delivery.messages.length === 0) break;
        poll.answer(delivery);
      }
    }
  }

  /** Notes that a queue may have something to deliver, and delivers. */
  stir(queue: Queue): void {
    this.#stirred.add(queue);
    this.wakePolls();
  }

  #take(queue: Queue, request: ReceiveRequest): Delivery {
    if (!queue.hasDeliverable) return EMPTY_DELIVERY;
    const wanted = Math.min(request.maxMessages, this.#roomInFlight(queue));
    const visibleAtMs = this.#clock.now() + request.visibilityTimeoutMs;
    const taken: { message: QueuedMessage; received: ReceivedMessage }[] = [];
    const cursor = queue.openCursor();
    while (taken.length < wanted) {
      const message = cursor.next();
      if (message === undefined) break;
      if (queue.isExpired(message)) this.discard(queue, message);
      else if (!this.#moveIfSpent(queue, message)) {
        taken.push({ message, received: this.#deliver(queue, message, visibleAtMs) });
      }
    }
    // Only now, or one receive would find the same message again and again.
    if (request.visibilityTimeoutMs === 0) for (const { message } of taken) queue.release(message);
    if (taken.length === 0) return EMPTY_DELIVERY;
    return { messages: taken.map(({ received }) => received), committed: this.#store.settled() };
  }

  #roomInFlight(queue: Queue): number {
    const limit = queue.settings.isFifo ? this.#limits.inFlightFifo : this.#limits.inFlightStandard;
    return Math.max(limit - queue.counts.inFlight, 0);
  }

  #deliver(queue: Queue, message: QueuedMessage, visibleAtMs: number): ReceivedMessage {
    const now = this.#clock.now();
    const firstReceivedAtMs = message.firstReceivedAtMs ?? now;
    const { row, groupId, sentAtMs } = message;
    const receiveCount = message.receiveCount + 1;
    this.#store.updateMessage({ row, visibleAtMs, receiveCount, firstReceivedAtMs, receivedAtMs: now });
    const content = this.#store.readContent(row);
    message.receiveCount = receiveCount;
    message.firstReceivedAtMs = firstReceivedAtMs;
    message.receivedAtMs = now;
    queue.hide(message, visibleAtMs);
    const receiptHandle = encodeReceipt(queue.identity.queueKey, { messageRow: row, receiveCount });
    return { row, groupId, sentAtMs, receiveCount, firstReceivedAtMs, receiptHandle, content };
  }

  /** Takes a delivery back that never reached its client: as if these messages had not been received. */
  giveBack(queueName: string, delivery: Delivery): void {
    const queue = this.#registry.find(queueName);
    if (queue === undefined) return;
    // From the last to the first, each ahead of its group: so they stand again as they stood.
    for (const received of [...delivery.messages].reverse()) {
      const message = queue.find(received.row);
      if (message === undefined || message.receiveCount !== received.receiveCount) continue;
      message.receiveCount -= 1;
      if (message.receiveCount === 0) message.firstReceivedAtMs = undefined;
      queue.release(message, true);
      this.#store.updateMessage(message);
    }
    this.stir(queue);
  }

  /** Deletes by receipt. A receipt that is not the latest is accepted and deletes nothing (an error on a FIFO queue). */
  delete(queue: Queue, receiptHandle: string): void {
    const receipt = decodeReceipt(queue.identity.queueKey, receiptHandle);
    const message = queue.find(receipt.messageRow);
    if (message === undefined) return;
    const isLatest = message.receiveCount === receipt.receiveCount;
    if (queue.settings.isFifo && !(isLatest && message.state === "inFlight")) throw expiredReceipt(receiptHandle);
    if (isLatest) this.discard(queue, message);
  }

  /** Removes a message for good. */
  discard(queue: Queue, message: QueuedMessage): void {
    this.#store.deleteMessage(message.row);
    queue.remove(message);
    // What it locked, or the room it took up in flight, may be free now.
    this.#stirred.add(queue);
  }

  /**
   * Hides a message in flight for so many seconds from now, or makes it visible at once with 0. As on AWS this has no
   * effect on a message that has become visible again, and on a standard queue an older receipt works too.
   */
  changeVisibility(queue: Queue, receiptHandle: string, seconds: number): void {
    const receipt = decodeReceipt(queue.identity.queueKey, receiptHandle);
    if (seconds < 0 || seconds > MAX_TOTAL_VISIBILITY_SECONDS) {
      const range = `VisibilityTimeout must be an integer between 0 and ${MAX_TOTAL_VISIBILITY_SECONDS}`;
      throw refuseValue("VisibilityTimeout", seconds, `${range}.`);
    }
    const message = queue.find(receipt.messageRow);
    if (message === undefined) {
      const reason = "Message does not exist or is not available for visibility timeout change.";
      throw refuseValue("ReceiptHandle", receiptHandle, reason);
    }
    const isLatest = message.receiveCount === receipt.receiveCount;
    if (queue.settings.isFifo && !(isLatest && message.state === "inFlight")) throw expiredReceipt(receiptHandle);
    if (message.state !== "inFlight") return;
    const now = this.#clock.now();
    const elapsedSeconds = Math.floor((now - (message.receivedAtMs ?? now)) / 1_000);
    if (elapsedSeconds + seconds > MAX_TOTAL_VISIBILITY_SECONDS) {
      const reason = `Total VisibilityTimeout for the message is beyond the limit [${MAX_TOTAL_VISIBILITY_SECONDS} seconds]`;
      throw refuseValue("VisibilityTimeout", seconds, reason);
    }
    if (seconds === 0) queue.release(message);
    else queue.hide(message, now + seconds * 1_000);
    this.#store.updateMessage(message);
    this.#stirred.add(queue);
  }

  /** Removes what is older than the queue's retention period. */
  discardExpired(queue: Queue): void {
    for (const message of queue.findExpired()) this.discard(queue, message);
    this.wakePolls();
  }

  /** Moves a message to the dead-letter queue if it has used up its receives; false where it has not. */
  #moveIfSpent(queue: Queue, message: QueuedMessage): boolean {
    const { redrive } = queue.settings;
    if (redrive === undefined) return false;
    if (message.receiveCount - message.priorReceiveCount < redrive.maxReceiveCount) return false;
    const target = this.#registry.findByArn(redrive.deadLetterTargetArn);
    // The target was deleted: the message stays and is delivered on, rather than lost.
    if (target === undefined) return false;
    const now = this.#clock.now();
    const content = this.#store.readContent(message.row);
    this.discard(queue, message);
    const record: MessageRecord = {
      row: this.#store.nextRow(),
      queueId: target.identity.queueId,
      groupId: message.groupId,
      // AWS counts the retention from the first send in standard queues, and anew in FIFO queues.
      sentAtMs: target.settings.isFifo ? now : message.sentAtMs,
      visibleAtMs: now,
      receiveCount: message.receiveCount,
      priorReceiveCount: message.receiveCount,
      firstReceivedAtMs: message.firstReceivedAtMs,
      receivedAtMs: message.receivedAtMs,
    };
    this.insert(target, record, { ...content, deadLetterSourceArn: queue.identity.arn }, "ready");
    return true;
  }

  /** Moves a message to another queue as a new message: new id and time, nothing received yet. */
  redrive(source: Queue, message: QueuedMessage, target: Queue): void {
    const now = this.#clock.now();
    const row = this.#store.nextRow();
    const content = this.#store.readContent(message.row);
    this.discard(source, message);
    const record: MessageRecord = {
      row,
      queueId: target.identity.queueId,
      groupId: message.groupId,
      sentAtMs: now,
      visibleAtMs: now,
      receiveCount: 0,
      priorReceiveCount: 0,
      firstReceivedAtMs: undefined,
      receivedAtMs: undefined,
    };
    const sequenceNumber = target.settings.isFifo ? String(SEQUENCE_BASE + BigInt(row)) : undefined;
    const renewed = { ...content, messageId: randomUUID(), sequenceNumber, deadLetterSourceArn: undefined };
    this.insert(target, record, renewed, "ready");
  }

  /** The queue a dead-letter queue got a message from, as an ARN. */
  readDeadLetterSource(message: QueuedMessage): string | undefined {
    return this.#store.readContent(message.row).deadLetterSourceArn;
  }
}

function expiredReceipt(receiptHandle: string): SqsError {
  return refuseValue("ReceiptHandle", receiptHandle, "The receipt handle has expired.");
}
