import type { JobView, TaskView } from "../../shared/api-client/job-view.ts";
import { formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { countEnded } from "../../shared/domain/task-counts.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { jobColors } from "../terminal/symbols.ts";
import { renderTable } from "../terminal/table.ts";
import { textWidth, truncate } from "../terminal/text.ts";
import { formatBar, formatCounts } from "./counts-line.ts";
import { taskColumns, taskRow } from "./task-line.ts";

/** Room and circumstances of one frame. */
export interface FrameOptions {
  /** Columns and lines that may be used. */
  width: number;
  height: number;
  nowMs: number;
  style: Style;
  /** A sentence about the connection, where it is lost. */
  connection?: string | undefined;
}

/**
 * One frame of the live view, at most `height` lines: the job, a bar, the groups, then the tasks: all of them where
 * they fit, else those that run longest and those that ended last.
 */
export function renderView(view: JobView, options: FrameOptions): string[] {
  const { width, height, style } = options;
  const lines = [renderHeader(view, options), renderProgress(view, width, style)];
  lines.push(...wrapCounts(view, width, style));
  if (view.cancel) lines.push(style("yellow", truncate(`ending: ${oneLine(view.cancel.detail)}`, width)));
  if (options.connection !== undefined) lines.push(style("yellow", truncate(options.connection, width)));
  const room = height - lines.length - 1;
  if (room >= 1) lines.push("", ...renderTasks(view, room, options));
  return lines.slice(0, Math.max(1, height));
}

function renderHeader(view: JobView, { width, nowMs, style }: FrameOptions): string {
  const elapsed = formatDuration((view.endedAtMs ?? nowMs) - view.createdAtMs);
  const job = truncate(view.job, Math.max(10, width - elapsed.length - view.status.length - 4));
  return `${style("bold", job)}  ${style(jobColors[view.status], view.status)}  ${style("dim", elapsed)}`;
}

function renderProgress(view: JobView, width: number, style: Style): string {
  const words = `${formatNumber(countEnded(view.counts))} of ${formatNumber(view.total)}`;
  const bar = formatBar(view.counts, view.warnings, Math.min(60, width - words.length - 2), style);
  return `${bar}  ${words}`;
}

/** The counts on as many lines as they take. */
function wrapCounts(view: JobView, width: number, style: Style): string[] {
  const lines: string[] = [];
  for (const part of formatCounts(view.counts, view.warnings, style).split("   ")) {
    const last = lines.at(-1);
    if (last !== undefined && textWidth(last) + 3 + textWidth(part) <= width)
      lines[lines.length - 1] = `${last}   ${part}`;
    else lines.push(part);
  }
  return lines;
}

function renderTasks(view: JobView, room: number, options: FrameOptions): string[] {
  if (view.tasks.size <= room && view.tasks.size >= view.total) return renderRows([...view.tasks.values()], options);
  // Two thirds of the room for what runs, one for what ended; either may use what the other leaves.
  const wantedForEnded = Math.min(
    view.recent.length === 0 ? 0 : view.recent.length + 1,
    Math.max(3, Math.floor(room / 3)),
  );
  const runningLines = renderRunning(view, room - wantedForEnded, options);
  const endedRoom = room - runningLines.length - (runningLines.length > 0 ? 1 : 0);
  const endedLines = endedRoom <= 0 ? [] : renderRows(recentTasks(view, endedRoom), options);
  return runningLines.length > 0 && endedLines.length > 0
    ? [...runningLines, "", ...endedLines]
    : [...runningLines, ...endedLines];
}

function renderRunning(view: JobView, room: number, options: FrameOptions): string[] {
  const shown = view.running.size <= room ? view.running.size : Math.max(0, room - 1);
  const tasks: TaskView[] = [];
  for (const name of view.running) {
    if (tasks.length >= shown) break;
    const task = view.tasks.get(name);
    if (task) tasks.push(task);
  }
  const lines = renderRows(tasks, options);
  const hidden = view.running.size - tasks.length;
  if (hidden > 0 && room > 0) lines.push(options.style("dim", `   … and ${formatNumber(hidden)} more running`));
  return lines;
}

/**
 * Tasks that ended last, newest first, each once. Half of the room is for those that did not complete: in a large job
 * the completions of a second would push them out of sight.
 */
function recentTasks(view: JobView, room: number): TaskView[] {
  const recent = new Set<TaskView>();
  for (let index = view.recent.length - 1; index >= 0; index--) {
    const task = view.tasks.get(view.recent[index] ?? "");
    if (task && task.status !== "running") recent.add(task);
  }
  const newest = [...recent];
  const troubled = newest.filter(({ status }) => status !== "completed").slice(0, Math.ceil(room / 2));
  const shown = new Set([...troubled, ...newest.slice(0, Math.max(0, room - troubled.length))]);
  return newest.filter((task) => shown.has(task));
}

function renderRows(tasks: readonly TaskView[], { width, nowMs, style }: FrameOptions): string[] {
  const rows = tasks.map((task) => taskRow(task, nowMs));
  return renderTable(taskColumns, rows, { width, style, headings: false });
}
