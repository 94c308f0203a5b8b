import type { JobEvent } from "../../events/index.ts";
import { backoffMs, sleep } from "../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { addTasks, applyEvent, type JobView, startView, type TaskView } from "../../shared/api-client/job-view.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { limits } from "../../shared/domain/limits.ts";
import { Live, type LiveRun, mayPass } from "./live.ts";
import { compareNames } from "./name-order.ts";

/** Newest events that are kept for the page; the API has them all. */
const keptEvents = 500;
/** A job that has ended is looked at so often, while somebody sees it: its tasks may be run again. */
const endedLookMs = 10_000;
const partialListBackoff = { firstMs: 1_000, longestMs: 10_000 };

/** A job as it changes: read once, then moved by its events. A run that was cut off is taken up where it was. */
export class JobFeed extends Live {
  readonly jobId: string;
  readonly #api: ApiClient;
  view: JobView | undefined;
  /** Whether the list of tasks is whole. */
  hasAllTasks = false;
  events: JobEvent[] = [];
  readonly #watchers = new Set<(event: JobEvent) => void>();
  #names: string[] = [];
  #tasks: TaskView[] = [];
  /** The version that `#tasks` are of. */
  #tasksVersion = -1;

  constructor(api: ApiClient, jobId: string) {
    super();
    this.#api = api;
    this.jobId = jobId;
  }

  /** The tasks that are known so far, by name: `t2` before `t10`. The same list as long as nothing was told. */
  get tasks(): readonly TaskView[] {
    if (this.#tasksVersion === this.getVersion()) return this.#tasks;
    this.#tasksVersion = this.getVersion();
    const known = this.view?.tasks ?? new Map<string, TaskView>();
    // Names stay; what is known of a task is put in its old place, so only new ones need a new order.
    if (this.#names.length !== known.size) this.#names = [...known.keys()].sort(compareNames);
    this.#tasks = [];
    for (const name of this.#names) {
      const task = known.get(name);
      if (task) this.#tasks.push(task);
    }
    return this.#tasks;
  }

  /** Hands on each event as it comes, until what is answered is called. */
  watchEvents(watcher: (event: JobEvent) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  protected override async follow(run: LiveRun): Promise<void> {
    this.view ??= startView(await this.#api.getJob(this.jobId, { signal: run.signal }), []);
    run.set("live");
    const { view } = this;
    do {
      await Promise.all([this.#readTasks(view, run.signal), this.#readEvents(view, run)]);
      run.set("ended");
    } while (await this.#awaitMore(view, run.signal));
  }

  /** The stream of a job that has ended is closed; only its number of events tells that it goes on. */
  async #awaitMore(view: JobView, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      await sleep(endedLookMs, signal);
      try {
        const { lastEvent } = await this.#api.getJob(this.jobId, { signal });
        if (lastEvent > view.countedSeq) return true;
      } catch (error) {
        if (signal.aborted) throw error;
        // Nobody waits for it; a job that is gone has nothing more to tell.
        if (!mayPass(error)) return false;
      }
    }
  }

  /** A large job is looked at while its tasks are still being written: the list is read until it has all of them. */
  async #readTasks(view: JobView, signal: AbortSignal): Promise<void> {
    for (let tries = 1; !this.hasAllTasks; tries++) {
      const hadEnded = isTerminalJobState(view.status);
      await this.#readTaskPages(view, signal);
      // Of a job that was cancelled at its start there may never be more.
      this.hasAllTasks = hadEnded || view.tasks.size >= view.total;
      this.tell();
      if (!this.hasAllTasks) await sleep(backoffMs(partialListBackoff, tries), signal);
    }
  }

  async #readTaskPages(view: JobView, signal: AbortSignal): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.#api.listTaskBriefs(this.jobId, { limit: limits.briefsPage, cursor }, { signal });
      addTasks(view, page.tasks);
      cursor = page.cursor;
      this.tell();
    } while (cursor !== undefined);
  }

  async #readEvents(view: JobView, { options }: LiveRun): Promise<void> {
    const after = Math.max(0, view.countedSeq - (this.events.length === 0 ? keptEvents / 5 : 0));
    for await (const event of this.#api.followEvents(this.jobId, after, options)) {
      applyEvent(view, event);
      for (const watcher of this.#watchers) watcher(event);
      this.events.push(event);
      if (this.events.length > 2 * keptEvents) this.events.splice(0, keptEvents);
      this.tell();
    }
  }
}
