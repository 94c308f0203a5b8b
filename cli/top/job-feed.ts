import type { Why } from "../../shared/api/schemas.ts";
import { backoffMs, sleep } from "../../shared/api-client/backoff.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { addTasks, applyEvent, type JobView, startView, type TaskView } from "../../shared/api-client/job-view.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { limits } from "../../shared/domain/limits.ts";
import type { ReasonCode } from "../../shared/domain/reason.ts";
import { explainError } from "../errors.ts";
import { outlast } from "../logs/outlast.ts";
import { Contact, watchPatience } from "./contact.ts";

/** A job that has ended is looked at so often: its tasks may be run again. */
const endedLookMs = 10_000;
/** A large job may be looked at while its tasks are still being written. */
const partialListBackoff = { firstMs: 1_000, longestMs: 10_000 };
/** Whoever goes through a list asks only about the task on which they stop. */
const whyAfterMs = 250;
/** What a task waits for may change without an event of its own. */
const whyAgainMs = 10_000;
const never = Number.POSITIVE_INFINITY;
const byName = new Intl.Collator("en", { numeric: true });

/** Groups of tasks that can be looked at by themselves. */
export const taskGroups = ["all", "running", "problems", "waiting", "completed"] as const;
export type TaskGroup = (typeof taskGroups)[number];

function isInGroup({ status }: TaskView, group: TaskGroup): boolean {
  switch (group) {
    case "all":
      return true;
    case "running":
    case "completed":
      return status === group;
    case "waiting":
      return status === "pending" || status === "queued";
    case "problems":
      return !["pending", "queued", "running", "completed"].includes(status);
  }
}

/** How many tasks ended for a reason. */
export interface ReasonCount {
  code: ReasonCode;
  count: number;
}

function countReasons(tasks: Iterable<TaskView>): ReasonCount[] {
  const counts = new Map<ReasonCode, number>();
  for (const task of tasks) {
    const code = isInGroup(task, "problems") ? task.reason?.code : undefined;
    if (code !== undefined) counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  return [...counts].map(([code, count]) => ({ code, count })).sort((a, b) => b.count - a.count);
}

/** What a job is followed with. */
export interface JobFeedOptions {
  api: ApiClient;
  job: string;
  now(): number;
  onChange(): void;
}

/** A job as it changes: read once, then moved by its events. */
export class JobFeed {
  readonly #options: JobFeedOptions;
  readonly #run = new AbortController();
  readonly contact: Contact;
  view: JobView | undefined;
  /** Whether the list of tasks is whole. */
  hasAllTasks = false;
  /** Why the job cannot be shown. */
  failure: string | undefined;
  #names: string[] = [];
  #version = 0;
  #selection: { version: number; group: TaskGroup; search: string; names: string[] } | undefined;
  #wake: (() => void) | undefined;
  #why: { key: string; text: string | undefined; timer: NodeJS.Timeout; againAtMs: number } | undefined;
  #reasons: { version: number; counts: readonly ReasonCount[] } | undefined;

  constructor(options: JobFeedOptions) {
    this.#options = options;
    this.contact = new Contact(options.now);
    this.#follow(this.#run.signal).catch((error: unknown) => {
      if (this.#run.signal.aborted) return;
      this.failure = explainError(error).message;
      options.onChange();
    });
  }

  close(): void {
    clearTimeout(this.#why?.timer);
    this.#run.abort();
  }

  /** Looks at a job that had ended at once, such as after somebody had its tasks run again. */
  lookAgain(): void {
    this.#wake?.();
  }

  /** Why tasks that ended did not complete, the most frequent reason first. */
  get reasons(): readonly ReasonCount[] {
    if (this.#reasons?.version !== this.#version) {
      this.#reasons = { version: this.#version, counts: countReasons(this.view?.tasks.values() ?? []) };
    }
    return this.#reasons.counts;
  }

  /** Names of the tasks of a group whose name has the text, by name: `t2` before `t10`. */
  select(group: TaskGroup, search: string): readonly string[] {
    const { tasks } = this.view ?? { tasks: new Map<string, TaskView>() };
    const last = this.#selection;
    if (last && last.version === this.#version && last.group === group && last.search === search) return last.names;
    // Names stay; only new ones need a new order.
    if (this.#names.length !== tasks.size) this.#names = [...tasks.keys()].sort(byName.compare);
    const names = this.#names.filter((name) => {
      const task = tasks.get(name);
      return task !== undefined && isInGroup(task, group) && name.includes(search);
    });
    this.#selection = { version: this.#version, group, search, names };
    return names;
  }

  /** Why a task is where it is, in a sentence; undefined until it is known. To be asked for what is shown. */
  explain(task: TaskView): string | undefined {
    const key = [task.task, task.status, task.attempt].join("\n");
    if (this.#why?.key !== key) {
      clearTimeout(this.#why?.timer);
      this.#why = { key, text: undefined, timer: setTimeout(() => this.#ask(key, task), whyAfterMs), againAtMs: never };
    } else if (performance.now() >= this.#why.againAtMs) this.#ask(key, task);
    return this.#why.text;
  }

  #ask(key: string, task: TaskView): void {
    const { api, job } = this.#options;
    if (this.#why) this.#why.againAtMs = never;
    const take = (text: string, isFinal: boolean): void => {
      if (this.#why?.key !== key || this.#run.signal.aborted) return;
      if (text !== this.#why.text) this.#options.onChange();
      this.#why.text = text;
      this.#why.againAtMs = isFinal ? never : performance.now() + whyAgainMs;
    };
    api.explainTask(job, task.task, { signal: this.#run.signal }).then(
      ({ summary }: Why) => take(summary, task.endedAtMs !== undefined),
      (error: unknown) => take(explainError(error).message, false),
    );
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { api, job } = this.#options;
    const view = startView(await outlast(() => api.getJob(job, { signal }), signal, watchPatience.giveUpAfterMs), []);
    this.view = view;
    this.#tell();
    for (;;) {
      await Promise.all([this.#readTasks(view, signal), this.#readEvents(view, signal)]);
      await this.#waitForMore(view, signal);
    }
  }

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
    const { api, job } = this.#options;
    let cursor: string | undefined;
    do {
      const query = { limit: limits.pageSize, cursor };
      const page = await outlast(() => api.listTasks(job, query, { signal }), signal, watchPatience.giveUpAfterMs);
      addTasks(view, page.tasks);
      cursor = page.cursor;
      this.#tell();
    } while (cursor !== undefined);
  }

  async #readEvents(view: JobView, signal: AbortSignal): Promise<void> {
    const { api, job } = this.#options;
    const follow = { signal, patience: watchPatience, onStatus: this.contact.note };
    const stream = api.followEvents(job, view.countedSeq, follow);
    for await (const event of stream) {
      applyEvent(view, event);
      this.#tell();
    }
  }

  /** The stream of a job that has ended is closed; only the number of its events tells that it goes on. */
  async #waitForMore(view: JobView, signal: AbortSignal): Promise<void> {
    const { api, job } = this.#options;
    for (;;) {
      const { lastEvent } = await outlast(() => api.getJob(job, { signal }), signal, watchPatience.giveUpAfterMs);
      this.contact.note({ status: "connected" });
      if (lastEvent > view.countedSeq) return;
      const rest = new AbortController();
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([woken, sleep(endedLookMs, AbortSignal.any([signal, rest.signal]))]).finally(() =>
        rest.abort(),
      );
    }
  }

  #tell(): void {
    this.#version++;
    this.#options.onChange();
  }
}
