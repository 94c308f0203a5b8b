import { type JobView, type TaskView, taskSpanMs } from "../../shared/api-client/job-view.ts";
import { formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { nameReason } from "../../shared/domain/reason-words.ts";
import { countEnded } from "../../shared/domain/task-counts.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { Key } from "../terminal/keys.ts";
import { oneLine } from "../terminal/one-line.ts";
import { jobColors, markLooks } from "../terminal/symbols.ts";
import { textWidth, truncate, wrap } from "../terminal/text.ts";
import { countMarks, formatBar } from "../watch/counts-line.ts";
import { explainReason, explainWaiting, lookOf } from "../watch/task-line.ts";
import { askToCancel, askToRetry } from "./actions.ts";
import { type ListCell, type ListColumn, renderList } from "./columns.ts";
import { JobFeed, type ReasonCount, type TaskGroup, taskGroups } from "./job-feed.ts";
import { ListCursor } from "./list.ts";
import { LogView } from "./log-view.ts";
import { jobMarks, marks } from "./marks.ts";
import type { App, Frame, Hint, View } from "./view.ts";

const whyLines = 2;

const help: readonly Hint[] = [
  ["↑ ↓, j k", "choose a task; PgUp PgDn, Home End (g G) further"],
  ["Tab, 1 to 5", "all tasks, or only those that run, have problems, wait, have completed"],
  ["Enter, l", "its log"],
  ["/", "only tasks whose name has a text"],
  ["c", "cancel the task"],
  ["C", "cancel the job"],
  ["r", "run the task again"],
  ["R", "run again what failed or timed out"],
];

/** A job: where it stands, its tasks, and why the chosen one is where it is. */
export class JobTasksView implements View {
  readonly title: string;
  readonly help = help;
  readonly hints: readonly Hint[] = [
    ["Enter", "log"],
    ["c", "cancel"],
    ["r", "retry"],
    ["Esc", "back"],
    ["Tab", "group"],
    ["/", "filter"],
    ["C", "cancel job"],
    ["R", "retry failed"],
  ];
  readonly #app: App;
  readonly #job: string;
  readonly #feed: JobFeed;
  readonly #cursor = new ListCursor();
  #group: TaskGroup = "all";
  #search = "";
  /** Whose end somebody asked for here: it is told. */
  readonly #awaited = new Set<string>();

  constructor(app: App, job: string) {
    this.#app = app;
    this.#job = job;
    this.title = job;
    this.#feed = new JobFeed({ api: app.api, job, now: () => app.now(), onChange: () => this.#onChange() });
  }

  get contacts() {
    return [this.#feed.contact];
  }

  close(): void {
    this.#feed.close();
  }

  /** Tells what became of what was cancelled here. */
  #onChange(): void {
    for (const name of this.#awaited) {
      const end = this.#describeEnd(name);
      if (end === undefined) continue;
      this.#awaited.delete(name);
      this.#app.say(end);
    }
    this.#app.redraw();
  }

  /** How a task, or the job where no task is named, has ended. */
  #describeEnd(name: string): string | undefined {
    const { view } = this.#feed;
    if (name === "") {
      return view && isTerminalJobState(view.status) ? `job ${this.#job} has ended: ${view.status}` : undefined;
    }
    const task = view?.tasks.get(name);
    return task && isTerminalTaskState(task.status) ? `task ${name} has ended: ${lookOf(task).label}` : undefined;
  }

  press(key: Key): boolean {
    const { name } = key;
    if (this.#cursor.press(key)) return true;
    const task = this.#feed.view?.tasks.get(this.#cursor.chosen ?? "");
    const group = taskGroups[Number(name) - 1];
    if (group !== undefined) this.#group = group;
    else if (name === "tab" || name === "backtab") this.#turnGroup(name === "tab" ? 1 : -1);
    else if ((name === "enter" || name === "l") && task) this.#app.open(new LogView(this.#app, this.#job, task.task));
    else if (name === "/") this.#ask();
    else if (name === "c" && task) this.#cancel(task.task);
    else if (name === "C") this.#cancel(undefined);
    else if (name === "r" && task) this.#retry([task.task]);
    else if (name === "R") this.#retry(undefined);
    else if (name === "escape" && this.#search !== "") this.#search = "";
    else return false;
    return true;
  }

  #turnGroup(by: number): void {
    const next = (taskGroups.indexOf(this.#group) + by + taskGroups.length) % taskGroups.length;
    this.#group = taskGroups[next] ?? "all";
  }

  #ask(): void {
    this.#app.ask("tasks with: ", this.#search, (text) => {
      this.#search = text;
    });
  }

  #cancel(task: string | undefined): void {
    askToCancel(this.#app, this.#job, task, () => {
      this.#awaited.add(task ?? "");
      // It may have ended before the answer came.
      this.#onChange();
    });
  }

  #retry(tasks: readonly string[] | undefined): void {
    askToRetry(this.#app, this.#job, tasks, () => this.#feed.lookAgain());
  }

  render(frame: Frame): string[] {
    const { width, height, style } = frame;
    const { view, failure } = this.#feed;
    if (failure !== undefined) return ["", style("red", truncate(`  ${oneLine(failure)}`, width))];
    if (!view) return ["", style("dim", "  reading …")];
    const names = this.#feed.select(this.#group, this.#search);
    // Where there is little room, the list comes first.
    const isRoomy = height >= 14;
    const head = renderHead(view, this.#feed.reasons, frame).slice(0, isRoomy ? height - 9 : 2);
    if (isRoomy) head.push("");
    const tabs = this.#renderTabs(view, names.length, frame);
    const foot = isRoomy ? whyLines + 1 : 1;
    const room = Math.max(1, height - head.length - tabs.length - foot - 1);
    const { top, at } = this.#cursor.place(names, room, this.#feed.hasAllTasks);
    const shown = names.slice(top, top + room).flatMap((name) => view.tasks.get(name) ?? []);
    const lines = renderList({
      columns,
      headingStyle: "dim",
      rows: shown.map((task) => taskCells(task, frame.nowMs)),
      chosen: at - top,
      width,
      style,
    });
    if (names.length === 0) lines.push(style("dim", this.#feed.hasAllTasks ? "  no such tasks" : "  reading …"));
    const filler = Array.from({ length: Math.max(0, room + 1 - lines.length) }, () => "");
    return [...head, ...tabs, ...lines, ...filler, ...this.#renderWhy(view.tasks.get(names[at] ?? ""), foot, frame)];
  }

  #renderTabs(view: JobView, shown: number, { width, style }: Frame): string[] {
    const { counts } = view;
    const waiting = counts.queued + counts.pending;
    const problems = countEnded(counts) - counts.completed;
    const numbers: Record<TaskGroup, number> = {
      ...{ all: view.total, running: counts.running, problems, waiting, completed: counts.completed },
    };
    const words = (short: boolean, shortest: boolean) =>
      taskGroups.map((group, index) => {
        if (group === this.#group) return `[${index + 1} ${group} ${formatNumber(numbers[group])}]`;
        if (shortest) return String(index + 1);
        return `${index + 1}${short ? "" : ` ${group}`} ${formatNumber(numbers[group])}`;
      });
    const widthOf = (parts: readonly string[]) => textWidth(parts.join("  "));
    const choices = [words(false, false), words(true, false), words(true, true)];
    const parts = choices.find((choice) => widthOf(choice) <= width) ?? [];
    const tabs = parts.map((text) => style(text.startsWith("[") ? ["bold", "cyan"] : "dim", text)).join("  ");
    const filter = this.#search === "" ? "" : `  with "${this.#search}": ${formatNumber(shown)}`;
    return [`${tabs}${style("yellow", truncate(filter, width - widthOf(parts)))}`];
  }

  #renderWhy(task: TaskView | undefined, height: number, { width, style }: Frame): string[] {
    if (!task) return [];
    const known = this.#feed.explain(task);
    const { color } = lookOf(task);
    const text = known ?? (explainReason(task.reason) || explainWaiting(task) || "…");
    const lines = wrap(`why: ${oneLine(text)}`, width).slice(0, Math.max(1, height - 1));
    const last = lines.length - 1;
    if (wrap(`why: ${oneLine(text)}`, width).length > lines.length) {
      lines[last] = truncate(`${lines[last] ?? ""}……`, Math.min(width, textWidth(lines[last] ?? "") + 1));
    }
    const dressed = lines.map((line) => style(task.status === "completed" ? "dim" : color, line));
    return height > 1 ? [style("dim", "─".repeat(width)), ...dressed] : dressed;
  }
}

/** The job's state and numbers, in as many lines as they take. */
function renderHead(view: JobView, reasons: readonly ReasonCount[], { width, nowMs, style }: Frame): string[] {
  const color = jobColors[view.status];
  const elapsed = formatDuration((view.endedAtMs ?? nowMs) - view.createdAtMs);
  const words = `${formatNumber(countEnded(view.counts))} of ${formatNumber(view.total)}`;
  const state = `${jobMarks[view.status]} ${view.status}`;
  const rest = truncate(`  ${elapsed}  pool ${oneLine(view.pool)}`, width - state.length);
  const bar = formatBar(view.counts, view.warnings, Math.max(0, Math.min(100, width - words.length - 2)), style);
  const lines = [`${style(color, state)}${style("dim", rest)}`, `${bar}  ${words}`, ...wrapMarks(view, width, style)];
  if (reasons.length > 0) {
    const words = reasons.map(({ code, count }) => `${nameReason(code)} ${formatNumber(count)}`);
    lines.push(style("dim", truncate(`not completed: ${words.join(", ")}`, width)));
  }
  if (view.cancel) lines.push(style("yellow", truncate(`ending: ${oneLine(view.cancel.detail)}`, width)));
  return lines;
}

/** Numbers by mark: `✓ 3,300 completed   ✗ 3 failed`. */
function wrapMarks(view: JobView, width: number, style: Frame["style"]): string[] {
  const lines: { text: string; columns: number }[] = [];
  for (const { mark, count } of countMarks(view.counts, view.warnings)) {
    const { label, color } = markLooks[mark];
    const text = `${marks[mark]} ${formatNumber(count)} ${label}`;
    const last = lines.at(-1);
    if (last && last.columns + 3 + textWidth(text) <= width) {
      last.text += `   ${style(color, text)}`;
      last.columns += 3 + textWidth(text);
    } else lines.push({ text: style(color, text), columns: textWidth(text) });
  }
  return lines.map(({ text }) => text);
}

const columns: readonly ListColumn[] = [
  { heading: "TASK", width: 16, most: 32 },
  { heading: "STATE", width: 15 },
  { heading: "TIME", width: 11, align: "right" },
  { heading: "TRY", width: 3, align: "right", drop: 2 },
  { heading: "WORKER", width: 12, drop: 3, cutsMiddle: true },
  { heading: "", width: 24, most: 200, drop: 1 },
];

function taskCells(task: TaskView, nowMs: number): ListCell[] {
  const { mark, label, color } = lookOf(task);
  const waits = mark === "queued" || mark === "pending";
  const isBack = waits && task.attempt > 0;
  const spanMs = waits ? undefined : taskSpanMs(task, nowMs);
  const style = isBack ? "yellow" : color;
  return [
    { text: oneLine(task.task) },
    { text: `${isBack ? "↻" : marks[mark]} ${isBack ? `${label} again` : label}`, style },
    { text: spanMs === undefined ? "" : formatDuration(spanMs) },
    { text: task.attempt > 1 ? String(task.attempt) : "", style: "dim" },
    { text: waits ? "" : oneLine(task.workerId ?? ""), style: "dim" },
    { text: mark === "completed" ? "" : (explainWaiting(task) ?? explainReason(task.reason)), style },
  ];
}
