import { type Linked, LinkedList } from "./linked-list.ts";
import type { MessageRecord } from "./store.ts";

/**
 * Where a message is on its way. `delayed` and `inFlight` wait for their `visibleAtMs`; `ready` can be delivered.
 *
 *     (sent) → delayed → ready ⇄ inFlight → (deleted, moved to a dead-letter queue, or expired; from any state)
 */
export type MessageState = "delayed" | "ready" | "inFlight";

/** What the server keeps in memory of a message; body and attributes stay on disk. */
export interface QueuedMessage extends Linked<QueuedMessage> {
  /** The message's row in the store: also the order of arrival, and part of its receipt handles. Never used twice. */
  readonly row: number;
  /** The empty string where the sender named no group. */
  readonly groupId: string;
  readonly sentAtMs: number;
  state: MessageState;
  visibleAtMs: number;
  heapIndex: number;
  /** How often it was received in all queues it was in. */
  receiveCount: number;
  /** How many of those were in the queues before this one. */
  readonly priorReceiveCount: number;
  firstReceivedAtMs: number | undefined;
  receivedAtMs: number | undefined;
}

/** Makes the memory's side of a message from what the store knows of it. */
export function createQueuedMessage(record: MessageRecord, state: MessageState): QueuedMessage {
  return {
    row: record.row,
    groupId: record.groupId,
    sentAtMs: record.sentAtMs,
    visibleAtMs: record.visibleAtMs,
    receiveCount: record.receiveCount,
    priorReceiveCount: record.priorReceiveCount,
    firstReceivedAtMs: record.firstReceivedAtMs,
    receivedAtMs: record.receivedAtMs,
    state,
    heapIndex: -1,
    previous: undefined,
    next: undefined,
  };
}

/** Hands out deliverable messages one by one. The state of each has to be changed before the next is asked for. */
export interface DeliveryCursor {
  next(): QueuedMessage | undefined;
}

/** The order in which a queue delivers. It is told of every message and of every change of a message's state. */
export interface DeliveryLine {
  readonly hasDeliverable: boolean;
  add(message: QueuedMessage): void;
  remove(message: QueuedMessage): void;
  /** Takes note of a state that changed from or to `ready`. */
  update(message: QueuedMessage): void;
  /** Like `update`, for a message that becomes ready and goes ahead of its group. */
  putBack(message: QueuedMessage): void;
  openCursor(): DeliveryCursor;
}

/** The messages of one group, itself a member of the ring of groups that have something to deliver. */
class Group implements Linked<Group> {
  readonly groupId: string;
  readonly messages = new LinkedList<QueuedMessage>();
  previous: Group | undefined;
  next: Group | undefined;
  isInRing = false;

  constructor(groupId: string) {
    this.groupId = groupId;
  }
}

/**
 * The order of a standard queue: the groups take turns, one message each, and within a group the one that became ready
 * first goes first. So a group of one waits behind one message of each other group, however many those have. Messages
 * without a group share a turn. Every step costs the same at any number of messages.
 */
export class FairLine implements DeliveryLine {
  /** Groups with ready messages; a group leaves with its last one, so that there is no trace of finished senders. */
  readonly #groups = new Map<string, Group>();
  readonly #ring = new LinkedList<Group>();

  get hasDeliverable(): boolean {
    return !this.#ring.isEmpty;
  }

  add(message: QueuedMessage): void {
    if (message.state === "ready") this.#enter(message).messages.pushBack(message);
  }

  putBack(message: QueuedMessage): void {
    this.#enter(message).messages.pushFront(message);
  }

  update(message: QueuedMessage): void {
    if (message.state === "ready") this.add(message);
    else this.#leave(message);
  }

  remove(message: QueuedMessage): void {
    if (message.state === "ready") this.#leave(message);
  }

  openCursor(): DeliveryCursor {
    return {
      next: () => {
        const group = this.#ring.first;
        if (group === undefined) return undefined;
        this.#ring.remove(group);
        this.#ring.pushBack(group);
        return group.messages.first;
      },
    };
  }

  #enter(message: QueuedMessage): Group {
    const existing = this.#groups.get(message.groupId);
    if (existing !== undefined) return existing;
    const group = new Group(message.groupId);
    this.#groups.set(message.groupId, group);
    this.#ring.pushBack(group);
    return group;
  }

  #leave(message: QueuedMessage): void {
    const group = this.#groups.get(message.groupId);
    if (group === undefined) return;
    group.messages.remove(message);
    if (!group.messages.isEmpty) return;
    this.#ring.remove(group);
    this.#groups.delete(message.groupId);
  }
}

/**
 * The order of a FIFO queue: each group delivers from its head up to the first message that is not ready. A message in
 * flight therefore locks what was sent after it, and one that comes back is delivered before what was sent after it.
 */
export class OrderedLine implements DeliveryLine {
  /** Groups with messages in any state, in their order of arrival. */
  readonly #groups = new Map<string, Group>();
  /** The groups whose head is ready. */
  readonly #ring = new LinkedList<Group>();

  get hasDeliverable(): boolean {
    return !this.#ring.isEmpty;
  }

  add(message: QueuedMessage): void {
    let group = this.#groups.get(message.groupId);
    if (group === undefined) {
      group = new Group(message.groupId);
      this.#groups.set(message.groupId, group);
    }
    group.messages.pushBack(message);
    this.#refresh(group);
  }

  remove(message: QueuedMessage): void {
    const group = this.#groups.get(message.groupId);
    if (group === undefined) return;
    group.messages.remove(message);
    this.#refresh(group);
    if (group.messages.isEmpty) this.#groups.delete(message.groupId);
  }

  update(message: QueuedMessage): void {
    const group = this.#groups.get(message.groupId);
    if (group !== undefined) this.#refresh(group);
  }

  putBack(message: QueuedMessage): void {
    this.update(message);
  }

  openCursor(): DeliveryCursor {
    let following: QueuedMessage | undefined;
    return {
      next: () => {
        // As many as possible from one group: what follows was taken note of before the state of its head changed.
        const message = following?.state === "ready" ? following : this.#ring.first?.messages.first;
        following = message?.next;
        return message;
      },
    };
  }

  #refresh(group: Group): void {
    const isDeliverable = group.messages.first?.state === "ready";
    if (isDeliverable === group.isInRing) return;
    group.isInRing = isDeliverable;
    if (isDeliverable) this.#ring.pushBack(group);
    else this.#ring.remove(group);
  }
}
