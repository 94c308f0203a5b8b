import { randomBytes } from "node:crypto";
import type { Clock } from "./clock.ts";
import { createQueuedMessage, type QueuedMessage } from "./delivery-line.ts";
import { refuseValue, SqsError } from "./errors.ts";
import { PollLine } from "./poll-line.ts";
import { type Delivery, EMPTY_DELIVERY, Queue, type QueueEvents } from "./queue.ts";
import {
  buildQueueAttributes,
  changeQueueAttributes,
  findDifferingAttribute,
  parseQueueArn,
  type QueueAttributes,
} from "./queue-attributes.ts";
import type { MessageRecord, QueueRecord, SqsStore } from "./store.ts";

/** Where the queues are, as their ARNs and URLs say. */
export type QueuePlace = { readonly region: string; readonly accountId: string };

type Strings = Readonly<Record<string, string>>;

const QUEUE_NAME_REUSE_MS = 60_000;
const MAX_TAGS = 50;

/** All queues by name: creates, changes, deletes and finds them, on disk and in memory. */
export class QueueRegistry {
  readonly #store: SqsStore;
  readonly #clock: Clock;
  readonly #place: QueuePlace;
  readonly #events: QueueEvents;
  #queues = new Map<string, Queue>();
  readonly #deletedAtMs = new Map<string, number>();

  constructor(store: SqsStore, clock: Clock, place: QueuePlace, events: QueueEvents) {
    this.#store = store;
    this.#clock = clock;
    this.#place = place;
    this.#events = events;
  }

  /** Stops all that runs by itself, because memory no longer agrees with the disk; `load` has to follow. */
  invalidate(): void {
    for (const queue of this.#queues.values()) queue.dispose();
  }

  /** Reads everything from disk. Polls that wait go on waiting. */
  load(): void {
    const messages = Map.groupBy(this.#store.loadMessages(), (message) => message.queueId);
    const loaded = new Map<string, Queue>();
    for (const record of this.#store.loadQueues()) {
      const queue = this.#openQueue(record, this.#queues.get(record.name)?.polls);
      this.#restoreMessages(queue, messages.get(record.queueId) ?? []);
      loaded.set(record.name, queue);
    }
    for (const [name, queue] of this.#queues) {
      if (!loaded.has(name)) queue.polls.answerAll(EMPTY_DELIVERY);
    }
    this.#queues = loaded;
  }

  /** A standard queue goes on in the order in which messages became visible, a FIFO queue in the order of arrival. */
  #restoreMessages(queue: Queue, records: MessageRecord[]): void {
    if (!queue.settings.isFifo) records.sort((one, other) => one.visibleAtMs - other.visibleAtMs);
    const now = this.#clock.now();
    for (const record of records) queue.add(restoreMessage(record, now));
  }

  get all(): Iterable<Queue> {
    return this.#queues.values();
  }

  find(name: string): Queue | undefined {
    return this.#queues.get(name);
  }

  findByArn(arn: string): Queue | undefined {
    const parsed = parseQueueArn(arn);
    if (parsed === undefined || parsed.region !== this.#place.region || parsed.accountId !== this.#place.accountId) {
      return undefined;
    }
    return this.#queues.get(parsed.queueName);
  }

  /** The queue with the given name, or the error of every operation on a queue that is not there. */
  require(name: string | undefined): Queue {
    const queue = name === undefined ? undefined : this.#queues.get(name);
    if (queue === undefined) throw new SqsError("QueueDoesNotExist", "The specified queue does not exist.");
    return queue;
  }

  /** Queues in the order of their names, from after one of them. */
  list(filter: { prefix?: string | undefined; after?: string | undefined }): Queue[] {
    const { prefix = "", after = "" } = filter;
    return [...this.#queues.values()]
      .filter(({ identity: { name } }) => name.startsWith(prefix) && name > after)
      .sort((one, other) => (one.identity.name < other.identity.name ? -1 : 1));
  }

  /** Creates a queue, or finds the one that is there if it agrees in every attribute that is given. */
  create(name: string, input: Strings, tags: Strings): Queue {
    const existing = this.#queues.get(name);
    if (existing !== undefined) {
      const differing = findDifferingAttribute(existing.attributes, input);
      if (differing === undefined) return existing;
      throw new SqsError(
        "QueueNameExists",
        `A queue already exists with the same name and a different value for attribute ${differing}`,
      );
    }
    const attributes = buildQueueAttributes(name, input);
    this.#assertRedriveTarget(name, attributes);
    this.#assertNameIsFree(name);
    assertTagCount(tags);
    const now = this.#clock.now();
    const queueKey = randomBytes(4).toString("hex");
    const record = { queueKey, name, attributes, tags, createdAtMs: now, modifiedAtMs: now };
    const queue = this.#openQueue({ ...record, queueId: this.#store.insertQueue(record) });
    this.#queues.set(name, queue);
    return queue;
  }

  setAttributes(queue: Queue, input: Strings): void {
    const attributes = changeQueueAttributes(queue.attributes, input);
    if (input.RedrivePolicy) this.#assertRedriveTarget(queue.identity.name, attributes);
    const modifiedAtMs = this.#clock.now();
    this.#store.updateQueue({ queueId: queue.identity.queueId, attributes, tags: queue.tags, modifiedAtMs });
    queue.setAttributes(attributes, modifiedAtMs);
  }

  setTags(queue: Queue, tags: Strings): void {
    assertTagCount(tags);
    const { attributes, modifiedAtMs } = queue;
    this.#store.updateQueue({ queueId: queue.identity.queueId, attributes, tags, modifiedAtMs });
    queue.tags = tags;
  }

  delete(queue: Queue): void {
    const { name, queueId, arn } = queue.identity;
    this.#store.deleteQueue(queueId, arn);
    this.#queues.delete(name);
    this.#deletedAtMs.set(name, this.#clock.now());
    queue.clear();
    queue.dispose();
    queue.polls.answerAll(EMPTY_DELIVERY);
  }

  /** Empties a queue; what it remembers for deduplication goes too, as on AWS. */
  purge(queue: Queue): void {
    this.#store.purgeQueue(queue.identity.queueId);
    queue.clear();
    queue.purgedAtMs = this.#clock.now();
  }

  /** The queues whose messages end in the given one after too many receives. */
  listDeadLetterSources(deadLetterQueue: Queue): Queue[] {
    const { arn } = deadLetterQueue.identity;
    return this.list({}).filter((queue) => queue.settings.redrive?.deadLetterTargetArn === arn);
  }

  /** Stops all timers; waiting polls end empty. */
  close(): void {
    for (const queue of this.#queues.values()) {
      queue.dispose();
      queue.polls.answerAll(EMPTY_DELIVERY);
    }
  }

  #openQueue(record: QueueRecord, polls?: PollLine<Delivery>): Queue {
    const { queueId, queueKey, name, createdAtMs } = record;
    const arn = `arn:aws:sqs:${this.#place.region}:${this.#place.accountId}:${name}`;
    return new Queue({ queueId, queueKey, name, arn, createdAtMs }, record, {
      clock: this.#clock,
      events: this.#events,
      polls: polls ?? new PollLine(this.#clock),
    });
  }

  #assertNameIsFree(name: string): void {
    const now = this.#clock.now();
    for (const [deletedName, atMs] of this.#deletedAtMs) {
      if (atMs + QUEUE_NAME_REUSE_MS <= now) this.#deletedAtMs.delete(deletedName);
    }
    if (!this.#deletedAtMs.has(name)) return;
    throw new SqsError(
      "QueueDeletedRecently",
      "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
    );
  }

  #assertRedriveTarget(sourceName: string, attributes: QueueAttributes): void {
    const text = attributes.RedrivePolicy;
    if (text === undefined) return;
    const { deadLetterTargetArn }: { deadLetterTargetArn: string } = JSON.parse(text);
    const target = this.findByArn(deadLetterTargetArn);
    if (target === undefined) {
      throw refuseValue("RedrivePolicy", text, "Dead letter target does not exist.");
    }
    if (target.settings.isFifo !== (attributes.FifoQueue === "true")) {
      throw refuseValue("RedrivePolicy", text, "Dead-letter queue must be same type of queue as the source.");
    }
    const allow = target.settings.redriveAllow;
    const sourceArn = `arn:aws:sqs:${this.#place.region}:${this.#place.accountId}:${sourceName}`;
    const isAllowed = allow.redrivePermission === "byQueue" && allow.sourceQueueArns.includes(sourceArn);
    if (allow.redrivePermission !== "allowAll" && !isAllowed) {
      throw refuseValue("RedrivePolicy", text, "Dead-letter queue does not permit redrive from the source queue.");
    }
  }
}

/** Puts a message back where it was when the server stopped; what ran out meanwhile is ready. */
function restoreMessage(record: MessageRecord, nowMs: number): QueuedMessage {
  const waiting = record.receiveCount > record.priorReceiveCount ? "inFlight" : "delayed";
  return createQueuedMessage(record, record.visibleAtMs <= nowMs ? "ready" : waiting);
}

function assertTagCount(tags: Strings): void {
  if (Object.keys(tags).length <= MAX_TAGS) return;
  throw new SqsError("InvalidParameterValueException", `Too many tags: a queue can have at most ${MAX_TAGS}.`);
}
