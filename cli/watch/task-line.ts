import type { TaskSummary } from "../../shared/api/schemas.ts";
import { type TaskView, taskSpanMs } from "../../shared/api-client/job-view.ts";
import { formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { markTask, type TaskMark } from "../../shared/domain/task-mark.ts";
import { oneLine } from "../terminal/one-line.ts";
import { type MarkLook, markLooks } from "../terminal/symbols.ts";
import type { Cell, Column } from "../terminal/table.ts";

/** What users are told of why a task did not complete: the sentence, or the code where there is none. */
export function explainReason(reason: TaskSummary["reason"]): string {
  if (!reason) return "";
  const detail = oneLine(reason.detail).trim();
  const sentence = detail === "" ? reason.code.replaceAll("_", " ") : detail;
  return reason.fault === "infrastructure" ? `${sentence} (infrastructure)` : sentence;
}

/** Which tasks a pending one waits for, where that is known: `waits for build, lint and 3 more`. */
export function explainWaiting({ waitingFor }: TaskView): string | undefined {
  if (!waitingFor || waitingFor.names.length === 0) return undefined;
  const more = waitingFor.count - waitingFor.names.length;
  const names = waitingFor.names.map(oneLine).join(", ");
  return `waits for ${names}${more > 0 ? ` and ${formatNumber(more)} more` : ""}`;
}

/** The mark of a task with its look. */
export function lookOf(task: TaskView): MarkLook & { mark: TaskMark } {
  const mark = markTask(task.status, task.warning);
  return { mark, ...markLooks[mark] };
}

/** Columns of a list of tasks as `taskRow` fills them. */
export const taskColumns: readonly Column[] = [
  { heading: "" },
  { heading: "TASK", shrinkTo: 16 },
  { heading: "TIME", align: "right" },
  { heading: "", shrinkTo: 10 },
];

/** One line about a task: symbol, name, time, and what there is to say about it now. */
export function taskRow(task: TaskView, nowMs: number): Cell[] {
  const { symbol, color, mark } = lookOf(task);
  const waits = mark === "queued" || mark === "pending";
  const isBack = waits && task.attempt > 0;
  const spanMs = waits ? undefined : taskSpanMs(task, nowMs);
  return [
    { text: isBack ? "↻ " : symbol, style: isBack ? "yellow" : color },
    { text: oneLine(task.task), ...(waits && { style: "dim" as const }) },
    { text: spanMs === undefined ? "" : formatDuration(spanMs), style: "dim" },
    { text: describeTask(task), style: isBack ? "yellow" : color },
  ];
}

/** What there is to say about a task: nothing about one that completed or runs at its first attempt. */
function describeTask(task: TaskView): string {
  const { mark, label } = lookOf(task);
  const attempt = task.attempt > 1 ? `attempt ${task.attempt}` : "";
  if (mark === "completed" || mark === "running") return attempt;
  if (mark === "pending") return explainWaiting(task) ?? (task.attempt > 0 ? "waits again" : label);
  if (mark === "queued") {
    return task.attempt > 0 ? `queued again: ${explainReason(task.reason)}` : label;
  }
  return [explainReason(task.reason) || label, attempt].filter((part) => part !== "").join(", ");
}
