import type { WorkerDetail } from "../../shared/api/overview-schemas.ts";
import type { Worker } from "../../shared/api/schemas.ts";
import { formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { explainError } from "../errors.ts";
import type { Key } from "../terminal/keys.ts";
import { oneLine } from "../terminal/one-line.ts";
import { markLooks } from "../terminal/symbols.ts";
import { truncate } from "../terminal/text.ts";
import { askToCancel, askToDrain } from "./actions.ts";
import { type ListCell, type ListColumn, renderList } from "./columns.ts";
import { workerCells, workerColumns } from "./fleet-cells.ts";
import type { FleetFeed } from "./fleet-feed.ts";
import { ListCursor } from "./list.ts";
import { LogView } from "./log-view.ts";
import { marks } from "./marks.ts";
import type { App, Frame, Hint, View } from "./view.ts";

type HeldTask = WorkerDetail["tasks"][number];

/** A worker that changes all the time is asked no more often than this. */
const readAgainMs = 2_000;

const help: readonly Hint[] = [
  ["↑ ↓, j k", "choose a task; PgUp PgDn, Home End (g G) further"],
  ["Enter, l", "its log"],
  ["c", "cancel the task"],
  ["d", "drain the worker, or let it go on"],
];

/** A worker and the tasks that it holds. */
export class WorkerView implements View {
  readonly title: string;
  readonly help = help;
  readonly hints: readonly Hint[] = [
    ["Enter", "log"],
    ["c", "cancel"],
    ["d", "drain"],
    ["Esc", "back"],
    ["j/k", "move"],
  ];
  readonly #app: App;
  readonly #feed: FleetFeed;
  readonly #workerId: string;
  readonly #run = new AbortController();
  readonly #cursor = new ListCursor();
  #tasks: readonly HeldTask[] | undefined;
  #failure = "";
  /** The worker as it was when its tasks were read. */
  #readAs = "";
  #readAtMs = Number.NEGATIVE_INFINITY;
  #isReading = false;

  constructor(app: App, feed: FleetFeed, workerId: string) {
    this.#app = app;
    this.#feed = feed;
    this.#workerId = workerId;
    this.title = workerId;
  }

  get contacts() {
    return this.#feed.contacts;
  }

  close(): void {
    this.#run.abort();
  }

  press(key: Key): boolean {
    if (this.#cursor.press(key)) return true;
    const { name } = key;
    const held = this.#tasks?.find((task) => keyOf(task) === this.#cursor.chosen);
    const worker = this.#feed.worker(this.#workerId);
    if ((name === "enter" || name === "l") && held) this.#app.open(new LogView(this.#app, held.job, held.task));
    else if (name === "c" && held) askToCancel(this.#app, held.job, held.task);
    else if (name === "d" && worker) askToDrain(this.#app, worker);
    else return false;
    return true;
  }

  /** Reads the tasks when the worker tells that it holds others. */
  #readTasks(worker: Worker | undefined): void {
    const seen = worker ? [worker.state, worker.held, worker.slotsFree, worker.lastSeenAt].join() : "gone";
    if (this.#isReading || seen === this.#readAs || performance.now() - this.#readAtMs < readAgainMs) return;
    this.#isReading = true;
    this.#readAtMs = performance.now();
    const { signal } = this.#run;
    const take = (tasks: readonly HeldTask[] | undefined, failure: string): void => {
      this.#isReading = false;
      this.#readAs = seen;
      this.#tasks = tasks ?? this.#tasks;
      this.#failure = failure;
      if (!signal.aborted) this.#app.redraw();
    };
    this.#app.api.getWorker(this.#workerId, { signal }).then(
      ({ tasks }) => take(tasks, ""),
      (error: unknown) => take(undefined, explainError(error).message),
    );
  }

  render(frame: Frame): string[] {
    const { width, height, nowMs, style } = frame;
    const worker = this.#feed.worker(this.#workerId);
    this.#readTasks(worker);
    const head = worker
      ? renderList({
          columns: workerColumns,
          headingStyle: "dim",
          rows: [workerCells(worker, nowMs, style)],
          chosen: -1,
          width,
          style,
        })
      : [style("dim", "  this worker is not on record any more")];
    if (this.#failure !== "") head.push(style("red", truncate(`  ${oneLine(this.#failure)}`, width)));
    const tasks = this.#tasks ?? [];
    const room = Math.max(1, height - head.length - 2);
    const { top, at } = this.#cursor.place(tasks.map(keyOf), room);
    const [first, ...rest] = columns;
    const lines = renderList({
      columns: first ? [{ ...first, heading: `TASKS ${formatNumber(tasks.length)}` }, ...rest] : [],
      headingStyle: ["bold", "cyan"],
      rows: tasks.slice(top, top + room).map((task) => taskCells(task, nowMs)),
      chosen: at - top,
      width,
      style,
    });
    if (tasks.length === 0) lines.push(style("dim", this.#tasks ? "  it holds no task" : "  reading …"));
    return [...head, "", ...lines];
  }
}

function keyOf({ job, task, attempt }: HeldTask): string {
  return [job, task, attempt].join("\n");
}

const columns: readonly ListColumn[] = [
  { heading: "TASK", width: 16, most: 40 },
  { heading: "JOB", width: 16, most: 46, cutsMiddle: true, drop: 1 },
  { heading: "STATE", width: 15 },
  { heading: "TRY", width: 3, align: "right", drop: 3 },
  { heading: "HELD FOR", width: 11, align: "right", drop: 2 },
];

function taskCells({ task, job, status, attempt, claimedAt }: HeldTask, nowMs: number): ListCell[] {
  const { label, color } = markLooks[status];
  return [
    { text: oneLine(task) },
    { text: oneLine(job), style: "dim" },
    { text: `${marks[status]} ${label}`, style: color },
    { text: String(attempt), style: "dim" },
    { text: formatDuration(nowMs - Date.parse(claimedAt)) },
  ];
}
