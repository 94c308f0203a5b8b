import { type Queue, queueBatchSize, type ReceivedMessage } from "../../shared/clients/queue.ts";
import type { Logger } from "../../shared/log.ts";
import { messageOf, retryWithBackoff, settlesWithin, withDeadline } from "../retry.ts";

/** Releases that come within this time share a request. Soon: somebody else may be waiting for them. */
const collectReleasesMs = 5;
/** The same for deletes, for which nobody waits: a message that shows again before is dropped at its claim. */
const collectDeletesMs = 50;
const callMaxElapsedMs = 15_000;
/** A try that takes longer is on a dead connection: the next one is made on another. */
const callDeadlineMs = 5_000;
/** A release does not wait longer for a renewal that hangs. */
const renewalDeadlineMs = 2_000;

export interface HeldMessagesOptions {
  queue: Queue;
  visibilityTimeoutSeconds: number;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
  log: Logger;
}

/**
 * The messages this worker has received and not finished. They stay hidden from other workers as long as they are
 * renewed here; whatever fails here only makes a message visible again, and its claim then tells what to do. No message
 * stays hidden for more than 12 hours: a task that runs longer goes on under its lease, without one.
 */
export class HeldMessages {
  readonly #options: HeldMessagesOptions;
  readonly #renewedAtMs = new Map<ReceivedMessage, number>();
  readonly #deletes: string[] = [];
  readonly #releases = new Map<number, string[]>();
  /** Each tells what could not be done. */
  readonly #calls = new Set<Promise<string | undefined>>();
  #renewals: Promise<unknown> = Promise.resolve();
  #flushTimer: NodeJS.Timeout | undefined;
  #flushAtMs = 0;

  constructor(options: HeldMessagesOptions) {
    this.#options = options;
  }

  /** Takes messages that were just received. */
  hold(messages: readonly ReceivedMessage[]): void {
    const nowMs = this.#options.nowMs();
    for (const message of messages) this.#renewedAtMs.set(message, nowMs);
  }

  /** Leaves a message alone: it belongs to somebody else, or is not to be seen again before it runs out. */
  forget(message: ReceivedMessage): void {
    this.#renewedAtMs.delete(message);
  }

  /** Deletes a message, together with others that end at the same time. */
  delete(message: ReceivedMessage): void {
    this.#renewedAtMs.delete(message);
    this.#deletes.push(message.receiptHandle);
    if (this.#deletes.length >= queueBatchSize) this.#flush();
    else this.#flushWithin(collectDeletesMs);
  }

  /** Makes a message visible after a delay; 0 is at once. */
  release(message: ReceivedMessage, delaySeconds: number): void {
    this.#renewedAtMs.delete(message);
    const receipts = this.#releases.get(delaySeconds) ?? [];
    receipts.push(message.receiptHandle);
    this.#releases.set(delaySeconds, receipts);
    this.#flushWithin(collectReleasesMs);
  }

  /** Hides for longer what was last hidden a third of the visibility timeout ago: two more tries fit before it shows. */
  renewDue(): Promise<void> {
    const { queue, visibilityTimeoutSeconds, nowMs, log } = this.#options;
    const now = nowMs();
    const due = [...this.#renewedAtMs].filter(([, at]) => now - at >= (visibilityTimeoutSeconds * 1000) / 3);
    if (due.length === 0) return Promise.resolve();
    const receipts = due.map(([message]) => message.receiptHandle);
    const renewal = queue.changeVisibility(receipts, visibilityTimeoutSeconds).then(
      (refused) => {
        for (const [message] of due) if (this.#renewedAtMs.has(message)) this.#renewedAtMs.set(message, now);
        this.#letGo(due.flatMap(([message]) => (refused.includes(message.receiptHandle) ? [message] : [])));
      },
      (error: unknown) => log.warn({ reason: messageOf(error) }, "messages could not be hidden for longer"),
    );
    this.#renewals = Promise.all([this.#renewals, renewal]);
    return renewal;
  }

  /** What the queue hides no longer is nobody's: it is not asked for it again. */
  #letGo(messages: readonly ReceivedMessage[]): void {
    if (messages.length === 0) return;
    for (const message of messages) this.#renewedAtMs.delete(message);
    const messageIds = messages.map(({ messageId }) => messageId);
    this.#options.log.info({ messageIds }, "the queue hides messages no longer; what was claimed for them goes on");
  }

  /**
   * Gives back what is left, and resolves when that and all that was asked for before was made, or was given up: with
   * what that was.
   */
  releaseAll(): Promise<string | undefined> {
    for (const message of [...this.#renewedAtMs.keys()]) this.release(message, 0);
    return this.settle();
  }

  /** Resolves when every delete and release asked for so far has been made, or was given up: with what that was. */
  async settle(): Promise<string | undefined> {
    this.#flush();
    const problems = new Set<string | undefined>();
    while (this.#calls.size > 0) for (const problem of await Promise.all(this.#calls)) problems.add(problem);
    return [...problems].find((problem) => problem !== undefined);
  }

  #flushWithin(ms: number): void {
    const flushAtMs = this.#options.nowMs() + ms;
    if (this.#flushTimer !== undefined && this.#flushAtMs <= flushAtMs) return;
    clearTimeout(this.#flushTimer);
    this.#flushAtMs = flushAtMs;
    this.#flushTimer = setTimeout(() => this.#flush(), ms);
  }

  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    const { queue } = this.#options;
    const deletes = this.#deletes.splice(0);
    if (deletes.length > 0) this.#track(() => queue.delete(deletes), "deleted");
    const renewals = this.#renewals;
    for (const [delaySeconds, receipts] of this.#releases) {
      // After a renewal under way: arriving before it, the release would be undone by it.
      this.#track(async () => {
        await settlesWithin(renewals, renewalDeadlineMs);
        await queue.changeVisibility(receipts, delaySeconds);
      }, "released");
    }
    this.#releases.clear();
  }

  #track(work: () => Promise<void>, what: string): void {
    const inTime = () => withDeadline(work(), callDeadlineMs, "the queue's answer");
    const call = retryWithBackoff(inTime, { maxElapsedMs: callMaxElapsedMs })
      .then(
        () => undefined,
        (error: unknown) => {
          const problem = `messages could not be ${what}; they show again by themselves`;
          this.#options.log.warn({ reason: messageOf(error) }, problem);
          return `${problem}: ${messageOf(error)}`;
        },
      )
      .finally(() => this.#calls.delete(call));
    this.#calls.add(call);
  }
}
