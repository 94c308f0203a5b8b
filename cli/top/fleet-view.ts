import type { Failures } from "../../shared/api/overview-schemas.ts";
import type { Job, Pool } from "../../shared/api/schemas.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { explainError } from "../errors.ts";
import type { Key } from "../terminal/keys.ts";
import { askToCancel, askToDrain, askToRetry } from "./actions.ts";
import {
  failureCells,
  failureColumns,
  jobCells,
  jobColumns,
  poolCells,
  poolColumns,
  workerCells,
  workerColumns,
} from "./fleet-cells.ts";
import type { FleetFeed } from "./fleet-feed.ts";
import { JobTasksView } from "./job-tasks-view.ts";
import { ListCursor } from "./list.ts";
import { type Pane, renderPanes } from "./panes.ts";
import type { App, Frame, Hint, View } from "./view.ts";
import { WorkerView } from "./worker-view.ts";

const paneNames = ["pools", "workers", "jobs", "failures"] as const;
type PaneName = (typeof paneNames)[number];

/** Jobs that a search finds beyond those of the overview. */
const foundJobs = 50;

const help: readonly Hint[] = [
  ["Tab, 1 to 4", "the next list; pools, workers, jobs, failures of 24 h"],
  ["↑ ↓, j k", "choose a row; PgUp PgDn, Home End (g G) further"],
  ["Enter", "of a job its tasks, of a worker what it holds, of a pool only what is its own"],
  ["/", "only jobs with a text in their id, pool or submitter; Enter searches older ones too"],
  ["c", "cancel the job"],
  ["r", "run again what failed of the job"],
  ["d", "drain the worker, or let it go on"],
  ["a", "also workers that stopped"],
  ["z", "the chosen list alone"],
];

/** Everything at once: pools with their queues, workers with their slots, jobs with their progress. */
export class FleetView implements View {
  readonly help = help;
  readonly #app: App;
  readonly #feed: FleetFeed;
  readonly #cursors: Readonly<Record<PaneName, ListCursor>>;
  #pane: PaneName = "jobs";
  #isAlone = false;
  #hasStopped = false;
  #pool: string | undefined;
  #search = "";
  /** What the search found beyond the overview, as it was then. */
  #found: readonly Job[] = [];
  /** Jobs and workers whose end somebody asked for here: it is told. */
  readonly #awaited = new Set<string>();

  constructor(app: App, feed: FleetFeed) {
    this.#app = app;
    this.#feed = feed;
    const cursor = () => new ListCursor();
    this.#cursors = { pools: cursor(), workers: cursor(), jobs: cursor(), failures: cursor() };
  }

  get title(): string {
    const ofPool = this.#pool === undefined ? "" : ` › pool ${this.#pool}`;
    return `overview${ofPool}${this.#search === "" ? "" : ` › jobs with "${this.#search}"`}`;
  }

  get contacts() {
    return this.#feed.contacts;
  }

  get hints(): readonly Hint[] {
    const byPane: Readonly<Record<PaneName, readonly Hint[]>> = {
      pools: [["Enter", "only this pool"]],
      workers: [
        ["Enter", "tasks"],
        ["d", "drain"],
      ],
      jobs: [
        ["Enter", "tasks"],
        ["c", "cancel"],
        ["r", "retry"],
        ["/", "filter"],
      ],
      failures: [["Enter", "newest job"]],
    };
    return [["Tab", "next list"], ...byPane[this.#pane], ["j/k", "move"], ["z", "alone"]];
  }

  close(): void {
    this.#feed.close();
  }

  /** Tells what became of what was cancelled or drained here; to be called when something has changed. */
  noteChange(): void {
    for (const name of this.#awaited) {
      const end = this.#describeEnd(name);
      if (end === undefined) continue;
      this.#awaited.delete(name);
      this.#app.say(end);
    }
    this.#app.redraw();
  }

  /** It may have ended before the answer came. */
  #await(name: string): void {
    this.#awaited.add(name);
    this.noteChange();
  }

  #describeEnd(name: string): string | undefined {
    const job = this.#feed.jobs.find((one) => one.job === name);
    if (job && isTerminalJobState(job.status)) return `job ${name} has ended: ${job.status}`;
    const state = this.#feed.worker(name)?.state;
    return state === "stopped" || state === "lost" ? `worker ${name} is ${state}` : undefined;
  }

  press(key: Key): boolean {
    const { name } = key;
    if (this.#cursors[this.#pane].press(key)) return true;
    const pane = paneNames[Number(name) - 1];
    if (pane !== undefined) this.#pane = pane;
    else if (name === "tab" || name === "backtab") this.#turnPane(name === "tab" ? 1 : -1);
    else if (name === "z") this.#isAlone = !this.#isAlone;
    else if (name === "a") this.#hasStopped = !this.#hasStopped;
    else if (name === "/") this.#ask();
    else if (name === "escape") return this.#clear();
    else return this.#pressChosen(name, this.#cursors[this.#pane].chosen);
    return true;
  }

  /** Keys that do something with the chosen row. */
  #pressChosen(name: string, chosen: string | undefined): boolean {
    if (chosen === undefined) return false;
    const isOpen = name === "enter" || name === "l";
    if (this.#pane === "jobs") {
      if (isOpen) this.#app.open(new JobTasksView(this.#app, chosen));
      else if (name === "c") askToCancel(this.#app, chosen, undefined, () => this.#await(chosen));
      else if (name === "r") askToRetry(this.#app, chosen);
      else return false;
      return true;
    }
    const worker = this.#feed.worker(chosen);
    if (this.#pane === "workers" && worker) {
      if (isOpen) this.#app.open(new WorkerView(this.#app, this.#feed, chosen));
      else if (name === "d") askToDrain(this.#app, worker, () => this.#await(chosen));
      else return false;
      return true;
    }
    if (!isOpen) return false;
    if (this.#pane === "pools") this.#pool = this.#pool === chosen ? undefined : chosen;
    const reason = this.#reasons().find(({ code }) => code === chosen);
    if (this.#pane === "failures" && reason) this.#app.open(new JobTasksView(this.#app, reason.lastJob));
    return true;
  }

  #turnPane(by: number): void {
    const next = (paneNames.indexOf(this.#pane) + by + paneNames.length) % paneNames.length;
    this.#pane = paneNames[next] ?? "jobs";
  }

  #clear(): boolean {
    const isFiltered = this.#search !== "" || this.#pool !== undefined;
    this.#setSearch("");
    this.#pool = undefined;
    return isFiltered;
  }

  #ask(): void {
    this.#pane = "jobs";
    this.#app.ask("jobs with: ", this.#search, (text, isEntered) => {
      if (text !== this.#search) this.#setSearch(text);
      if (isEntered && text !== "") this.#findOlder(text);
    });
  }

  #setSearch(text: string): void {
    this.#search = text;
    this.#found = [];
  }

  #findOlder(text: string): void {
    this.#app.api.listJobs({ search: text, limit: foundJobs }).then(
      ({ jobs }) => {
        if (text !== this.#search) return;
        this.#found = jobs;
        this.#app.redraw();
      },
      (error: unknown) => this.#app.say(explainError(error).message, "red"),
    );
  }

  render(frame: Frame): string[] {
    const panes = this.#panes(frame);
    const chosen = paneNames.indexOf(this.#pane);
    if (this.#isAlone) return renderPanes(panes.slice(chosen, chosen + 1), 0, frame);
    // Failures are history: they have a place of their own only where there is much room, or when they are asked for.
    const hasFailures = frame.height >= 34 || this.#pane === "failures";
    return renderPanes(hasFailures ? panes : panes.slice(0, 3), chosen, frame);
  }

  #panes({ nowMs, style }: Frame): Pane[] {
    const { overview } = this.#feed;
    const pools = new Map(this.#feed.pools.map((pool): [string, Pool] => [pool.pool, pool]));
    const workers = this.#feed.workers.filter(
      ({ pool, state }) =>
        (this.#hasStopped || state !== "stopped") && (this.#pool === undefined || pool === this.#pool),
    );
    const jobs = new Map(this.#shownJobs().map((job): [string, Job] => [job.job, job]));
    const reasons = new Map(this.#reasons().map((reason) => [reason.code as string, reason]));
    const isFiltered = this.#search !== "" || this.#pool !== undefined;
    const { activeCount = 0, more = false } = overview.jobs ?? {};
    const { failures } = overview;
    return [
      {
        cursor: this.#cursors.pools,
        heading: `POOLS ${pools.size}`,
        columns: poolColumns,
        keys: [...pools.keys()],
        cells: (key) => fill(pools.get(key), (pool) => poolCells(pool, this.#feed.queueOf(key), nowMs, style)),
        empty: "no pools yet",
        weight: 1,
      },
      {
        cursor: this.#cursors.workers,
        heading: `WORKERS ${workers.length}`,
        columns: workerColumns,
        keys: workers.map(({ workerId }) => workerId),
        cells: (key) => fill(this.#feed.worker(key), (worker) => workerCells(worker, nowMs, style)),
        empty: this.#feed.hasWorkers ? "no workers" : "reading …",
        weight: 2,
      },
      {
        cursor: this.#cursors.jobs,
        heading: isFiltered ? `JOBS ${jobs.size} found` : `JOBS ${activeCount}${more ? "+" : ""} active`,
        columns: jobColumns,
        keys: [...jobs.keys()],
        cells: (key) => fill(jobs.get(key), (job) => jobCells(job, nowMs, style)),
        empty: isFiltered ? "no such jobs; Esc shows all" : "no jobs yet: sluice run FILE",
        weight: 3,
      },
      {
        cursor: this.#cursors.failures,
        heading: failures?.more ? `FAILURES of ${failures.jobs} jobs` : "FAILURES in 24 h",
        columns: failureColumns,
        keys: [...reasons.keys()],
        cells: (key) => fill(reasons.get(key), failureCells),
        empty: "none",
        weight: 1,
      },
    ];
  }

  #reasons(): Failures["reasons"] {
    return this.#feed.overview.failures?.reasons ?? [];
  }

  #shownJobs(): Job[] {
    const listed = this.#feed.jobs;
    const known = new Set(listed.map(({ job }) => job));
    const all = [...listed, ...this.#found.filter(({ job }) => !known.has(job))];
    const search = this.#search.toLowerCase();
    return all.filter(
      ({ job, pool, submittedBy }) =>
        (this.#pool === undefined || pool === this.#pool) &&
        [job, pool, submittedBy].some((text) => text.toLowerCase().includes(search)),
    );
  }
}

function fill<T>(value: T | undefined, cells: (value: T) => ReturnType<Pane["cells"]>): ReturnType<Pane["cells"]> {
  return value === undefined ? [] : cells(value);
}
