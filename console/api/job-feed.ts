import type { JobEvent } from "../../events/index.ts";
import { backoffMs, sleep } from "../../shared/api-client/backoff.ts";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";
import { addTasks, applyEvent, type JobView, startView, type TaskView } from "../../shared/api-client/job-view.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { limits } from "../../shared/domain/limits.ts";

/** How what is shown of a job relates to the job: `stale` = contact is lost and looked for, `ended` = nothing follows. */
export type FeedState = "loading" | "live" | "stale" | "paused" | "ended" | "failed";

/** Newest events that are kept for the page; the API has them all. */
const keptEvents = 500;
/** A job that has ended is looked at so often, while somebody sees it: its tasks may be run again. */
const endedLookMs = 10_000;
/** Contact that is lost for so long is told. */
export const staleMs = 2_500;
const partialListBackoff = { firstMs: 1_000, longestMs: 10_000 };
const byName = new Intl.Collator("en", { numeric: true });

/**
 * A job as it changes: read once, then moved by its events. Whoever shows it is told at most once a frame, however many
 * events come. A page that nobody looks at lets go of its stream and takes it up where it was.
 */
export class JobFeed {
  readonly jobId: string;
  readonly #api: ApiClient;
  readonly #listeners = new Set<() => void>();
  #run: AbortController | undefined;
  #frame: number | undefined;
  #version = 0;
  #staleTimer: ReturnType<typeof setTimeout> | undefined;
  #endedTimer: ReturnType<typeof setTimeout> | undefined;
  view: JobView | undefined;
  state: FeedState = "loading";
  error: Error | undefined;
  /** Whether the list of tasks is whole. */
  hasAllTasks = false;
  events: JobEvent[] = [];
  #names: string[] = [];

  constructor(api: ApiClient, jobId: string) {
    this.#api = api;
    this.jobId = jobId;
  }

  /** The tasks that are known so far, by name: `t2` before `t10`. */
  get tasks(): readonly TaskView[] {
    const { tasks } = this.view ?? { tasks: new Map<string, TaskView>() };
    // Names stay; what is known of a task is put in its old place, so only new ones need a new order.
    if (this.#names.length !== tasks.size) this.#names = [...tasks.keys()].sort(byName.compare);
    return this.#names.flatMap((name) => tasks.get(name) ?? []);
  }

  /** For `useSyncExternalStore`: changes with everything else. */
  readonly getVersion = (): number => this.#version;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#start();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  };

  /** Takes up what follows, such as after a retry of tasks of a job that had ended, or after a failure. */
  readonly resume = (): void => {
    this.#pause();
    this.#go();
  };

  #start(): void {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  #stop(): void {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#pause();
  }

  /** Lets go of the connections: a browser has six to one origin, and all its tabs share them. */
  #pause(): void {
    clearTimeout(this.#staleTimer);
    clearTimeout(this.#endedTimer);
    this.#run?.abort();
    this.#run = undefined;
  }

  readonly #onVisibility = (): void => {
    if (!document.hidden) {
      if (this.#run === undefined) this.#go();
      return;
    }
    this.#pause();
    if (this.state === "live" || this.state === "stale") this.#set("paused");
  };

  #go(): void {
    const run = new AbortController();
    this.#run = run;
    this.error = undefined;
    this.#follow(run.signal).catch((error: unknown) => {
      if (run.signal.aborted) return;
      this.#pause();
      this.error = error instanceof Error ? error : new Error(String(error));
      this.#set("failed");
    });
  }

  async #follow(signal: AbortSignal): Promise<void> {
    if (this.view === undefined) {
      this.#set("loading");
      const job = await this.#api.getJob(this.jobId, { signal });
      this.view = startView(job, []);
      this.#set("live");
    }
    const { view } = this;
    await Promise.all([this.#readTasks(view, signal), this.#readEvents(view, signal)]);
    clearTimeout(this.#staleTimer);
    this.#set("ended");
    this.#lookLater(view, signal);
  }

  /** The stream of a job that has ended is closed; only its number of events tells that it goes on. */
  #lookLater(view: JobView, signal: AbortSignal): void {
    this.#endedTimer = setTimeout(() => {
      this.#api.getJob(this.jobId, { signal }).then(
        ({ lastEvent }) => {
          if (signal.aborted) return;
          if (lastEvent > view.countedSeq) this.resume();
          else this.#lookLater(view, signal);
        },
        (error: unknown) => {
          // Nobody waits for it; a job that is gone has nothing more to tell.
          if (!signal.aborted && !(error instanceof ApiError && error.status < 500)) this.#lookLater(view, signal);
        },
      );
    }, endedLookMs);
  }

  /** A large job is looked at while its tasks are still being written: the list is read until it has all of them. */
  async #readTasks(view: JobView, signal: AbortSignal): Promise<void> {
    for (let tries = 1; !this.hasAllTasks; tries++) {
      const hadEnded = isTerminalJobState(view.status);
      await this.#readTaskPages(view, signal);
      // Of a job that was cancelled at its start there may never be more.
      this.hasAllTasks = hadEnded || view.tasks.size >= view.total;
      this.#tell();
      if (!this.hasAllTasks) await sleep(backoffMs(partialListBackoff, tries), signal);
    }
  }

  async #readTaskPages(view: JobView, signal: AbortSignal): Promise<void> {
    let cursor: string | undefined;
    do {
      const page = await this.#api.listTasks(this.jobId, { limit: limits.pageSize, cursor }, { signal });
      addTasks(view, page.tasks);
      cursor = page.cursor;
      this.#tell();
    } while (cursor !== undefined);
  }

  async #readEvents(view: JobView, signal: AbortSignal): Promise<void> {
    const after = Math.max(0, view.countedSeq - (this.events.length === 0 ? keptEvents / 5 : 0));
    const stream = this.#api.followEvents(this.jobId, after, {
      signal,
      // A console that is left open waits as long as it takes.
      patience: { giveUpAfterMs: Number.POSITIVE_INFINITY },
      onStatus: ({ status }) => this.#noteContact(status === "connected"),
    });
    for await (const event of stream) {
      applyEvent(view, event);
      this.events.push(event);
      if (this.events.length > 2 * keptEvents) this.events.splice(0, keptEvents);
      this.#tell();
    }
  }

  /** Streams are replaced from time to time; only one that stays away makes what is shown out of date. */
  #noteContact(isThere: boolean): void {
    clearTimeout(this.#staleTimer);
    if (isThere) this.#set("live");
    else this.#staleTimer = setTimeout(() => this.#set("stale"), staleMs);
  }

  #set(state: FeedState): void {
    this.state = state;
    this.#tell();
  }

  #tell(): void {
    if (this.#frame !== undefined) return;
    const tell = () => {
      this.#frame = undefined;
      this.#version++;
      for (const listener of this.#listeners) listener();
    };
    // No frames come to a page in the background.
    this.#frame = document.hidden ? window.setTimeout(tell, 0) : requestAnimationFrame(tell);
  }
}
