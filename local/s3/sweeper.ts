import { setImmediate } from "node:timers/promises";
import { findAbort, findExpiry, type LifecycleRule } from "./lifecycle.ts";
import { nextAfterPrefix } from "./listing.ts";
import type { Logger } from "./logger.ts";
import type { KeyRange } from "./object-table.ts";
import type { Storage } from "./storage.ts";

/** Looked at in one go; between two pages other requests have their turn. */
const pageSize = 500;

/** Applies lifecycle rules: removes objects whose time has come and gives up on open uploads. */
export class LifecycleSweeper {
  readonly #storage: Storage;
  readonly #now: () => number;
  readonly #logger: Logger;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #isStopped = false;

  constructor(options: { storage: Storage; now: () => number; logger: Logger; intervalMs: number }) {
    this.#storage = options.storage;
    this.#now = options.now;
    this.#logger = options.logger;
    // Rules count in days; an hour late is early enough. Without rules a sweep is one query.
    this.#timer = setInterval(() => this.trigger(), options.intervalMs);
    this.#timer.unref();
    this.trigger();
  }

  /** Asks for a sweep, now or right after the one that is running. */
  trigger(): void {
    this.#isWanted = true;
    if (this.#isStopped) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#isWanted && !this.#isStopped) {
        this.#isWanted = false;
        for (const { bucket, json } of this.#storage.buckets.listLifecycles()) {
          await this.#applyRules(bucket, JSON.parse(json) as LifecycleRule[]);
        }
        while (!this.#isStopped && this.#storage.reclaimSpace()) await setImmediate();
      }
    } catch (error) {
      this.#logger.error({ err: error }, "a lifecycle sweep failed; the next one tries again");
    }
  }

  async #applyRules(bucket: string, all: readonly LifecycleRule[]): Promise<void> {
    const rules = all.filter((rule) => rule.isEnabled);
    // Rules for one prefix that differ by their tags are told apart in one pass over its objects.
    const expiring = rules.filter((rule) => rule.expireDays !== undefined || rule.expireAtMs !== undefined);
    for (const [prefix, alike] of Map.groupBy(expiring, (rule) => rule.prefix)) {
      const removed = await this.#expireObjects(bucket, prefix, alike);
      if (removed > 0) this.#logger.info({ bucket, prefix, removed }, "objects have expired");
    }
    for (const rule of rules) {
      if (rule.abortDays === undefined) continue;
      const removed = await this.#abortUploads(bucket, rule);
      if (removed > 0) this.#logger.info({ bucket, prefix: rule.prefix, removed }, "unfinished uploads have expired");
    }
  }

  async #expireObjects(bucket: string, prefix: string, rules: readonly LifecycleRule[]): Promise<number> {
    const range = startOf(prefix);
    const isDue = (object: Parameters<typeof findExpiry>[1]) =>
      rules.some((rule) => (findExpiry(rule, object) ?? Number.POSITIVE_INFINITY) <= this.#now());
    let removed = 0;
    while (!this.#isStopped) {
      // Find and remove in one change: an object written a moment ago under an old key is not an old object.
      const page = await this.#storage.write((transaction) => {
        const objects = this.#storage.objects.list(bucket, range, pageSize);
        const due = objects.filter(isDue);
        for (const object of due) this.#storage.removeObject(transaction, object);
        return { last: objects[pageSize - 1]?.key, removed: due.length };
      });
      removed += page.removed;
      if (page.last === undefined) break;
      range.from = page.last;
      range.inclusive = false;
    }
    return removed;
  }

  async #abortUploads(bucket: string, rule: LifecycleRule): Promise<number> {
    const range = startOf(rule.prefix);
    let afterUploadId: string | undefined;
    let removed = 0;
    while (!this.#isStopped) {
      const page = await this.#storage.write((transaction) => {
        const uploads = this.#storage.uploads.list(bucket, range, pageSize, afterUploadId);
        const due = uploads.filter((upload) => (findAbort(rule, upload) ?? Number.POSITIVE_INFINITY) <= this.#now());
        for (const { uploadId } of due) this.#storage.removeUpload(transaction, uploadId);
        return { last: uploads[pageSize - 1], removed: due.length };
      });
      removed += page.removed;
      if (page.last === undefined) break;
      range.from = page.last.key;
      range.inclusive = false;
      afterUploadId = page.last.uploadId;
    }
    return removed;
  }
}

function startOf(prefix: string): KeyRange {
  return { from: prefix, inclusive: true, before: nextAfterPrefix(prefix) };
}
