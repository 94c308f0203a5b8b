import type { JobEvent } from "../../../events/index.ts";
import { sleep } from "../../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../../shared/api-client/index.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { JobFeed } from "../../api/job-feed.ts";
import { Live, type LiveRun } from "../../api/live.ts";
import { type Bar, barKey, moveBar, toBar } from "./bars.ts";

/** What events tell of is asked for exactly so often. */
const askMs = 1_000;
/** Beyond so many tasks the whole list costs less than their names do. */
const mostAsked = 20 * limits.namedTasks;

/**
 * The attempts of a job, for the timeline: read once when it is opened, then moved by the events that the job's page gets
 * anyway. How long the phases of an attempt took is asked for once it has ended, many tasks at a time.
 */
export class AttemptsFeed extends Live {
  readonly #api: ApiClient;
  readonly #job: JobFeed;
  readonly bars = new Map<string, Bar>();
  isWhole = false;
  /** Of the last event that all of `bars` is known by exactly. */
  #wholeSeq = -1;
  /** Tasks whose attempts events have moved. */
  readonly #moved = new Set<string>();

  constructor(api: ApiClient, job: JobFeed) {
    super();
    this.#api = api;
    this.#job = job;
  }

  protected override async follow(run: LiveRun): Promise<void> {
    const { signal } = run;
    const unwatch = this.#job.watchEvents((event) => this.#take(event));
    signal.addEventListener("abort", unwatch, { once: true });
    // Nobody took events while nobody looked.
    if (this.#wholeSeq !== this.#job.view?.countedSeq) await this.#readAll(signal);
    run.set("live");
    for (;;) {
      await sleep(askMs, signal);
      if (this.#moved.size > mostAsked && this.#job.state === "ended") await this.#readAll(signal);
      else await this.#readMoved(signal);
    }
  }

  async #readAll(signal: AbortSignal): Promise<void> {
    const seq = this.#job.view?.countedSeq ?? -1;
    this.#moved.clear();
    let cursor: string | undefined;
    do {
      const page = await this.#api.listAttempts(this.#job.jobId, { limit: limits.pageSize, cursor }, { signal });
      this.#put(page.attempts.map(toBar));
      cursor = page.cursor;
    } while (cursor !== undefined);
    this.isWhole = true;
    if (this.#moved.size === 0) this.#wholeSeq = seq;
    this.tell();
  }

  async #readMoved(signal: AbortSignal): Promise<void> {
    const tasks = [...this.#moved].slice(0, limits.namedTasks);
    if (tasks.length === 0) return;
    const seq = this.#job.view?.countedSeq ?? -1;
    for (const task of tasks) this.#moved.delete(task);
    const { attempts } = await this.#api.listAttempts(this.#job.jobId, { tasks }, { signal });
    this.#put(attempts.map(toBar));
    if (this.#moved.size === 0) this.#wholeSeq = seq;
  }

  #take(event: JobEvent): void {
    if (event.type !== "task.transition") return;
    const key = barKey(event);
    const known = this.bars.get(key);
    const moved = moveBar(known, event);
    if (moved && moved !== known) this.bars.set(key, moved);
    if (event.to === "running" || event.from === "running") this.#moved.add(event.task);
    this.tell();
  }

  #put(read: readonly Bar[]): void {
    for (const bar of read) {
      const key = barKey(bar);
      const known = this.bars.get(key);
      // An event may have told of an end that the list, read before, did not know yet.
      if (known?.endMs === undefined || bar.endMs !== undefined) this.bars.set(key, bar);
    }
    this.tell();
  }
}
