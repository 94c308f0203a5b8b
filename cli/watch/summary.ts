import type { Job } from "../../shared/api/schemas.ts";
import type { TaskView } from "../../shared/api-client/job-view.ts";
import { formatBytes, formatDuration, formatNumber, plural } from "../../shared/domain/format.ts";
import { countEnded, type TaskCounts, taskCounts } from "../../shared/domain/task-counts.ts";
import { markTask, type TaskMark } from "../../shared/domain/task-mark.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { jobColors } from "../terminal/symbols.ts";
import { renderTable } from "../terminal/table.ts";
import { formatCounts } from "./counts-line.ts";
import { taskColumns, taskRow } from "./task-line.ts";

/** What the summary of an ended job is made of. */
export interface SummaryInput {
  job: Job;
  /** Tasks that are known: at least all that did not complete. */
  tasks: readonly TaskView[];
  warnings: number;
  /** Tasks that left artifacts, and how much. */
  artifacts: { tasks: number; bytes: number };
}

/** How a summary is drawn. */
export interface SummaryOptions {
  width: number;
  style: Style;
  nowMs: number;
  /** Tasks listed at most. */
  maxTasks: number;
  /** Lists completed tasks too, where all fit. */
  listCompleted: boolean;
  /** Makes a command for the user to type. */
  hint: (command: string) => string;
}

/** The last words about a job: its tasks with their reasons, where the artifacts are, and how it ended. */
export function renderSummary(input: SummaryInput, options: SummaryOptions): string[] {
  const { job, warnings } = input;
  const { style } = options;
  const lines = listTasks(input, options);
  if (lines.length > 0) lines.push("");
  lines.push(formatCounts(taskCounts(job.counts), warnings, style));
  if (job.cancel) lines.push(style("yellow", `ended early: ${oneLine(job.cancel.detail)}`));
  if (input.artifacts.tasks > 0) {
    const { tasks, bytes } = input.artifacts;
    const verb = tasks === 1 ? "task has" : "tasks have";
    const size = bytes > 0 ? ` (${formatBytes(bytes)})` : "";
    const command = options.hint(`artifact ${job.job} -o out`);
    lines.push(style("dim", `${formatNumber(tasks)} ${verb} artifacts${size}: ${command}`));
  }
  lines.push(style(["bold", jobColors[job.status]], describeOutcome(job, options.nowMs)));
  return lines;
}

function listTasks(input: SummaryInput, options: SummaryOptions): string[] {
  const { maxTasks, nowMs, width, style, hint } = options;
  const incomplete = input.tasks.filter(({ status }) => status !== "completed");
  let listed = options.listCompleted && input.tasks.length <= maxTasks ? input.tasks : incomplete;
  // Where not all are shown, those that say most come first.
  if (listed.length > maxTasks) listed = listed.toSorted((a, b) => rankTask(a) - rankTask(b));
  const rows = listed.slice(0, maxTasks).map((task) => taskRow(task, nowMs));
  const lines = renderTable(taskColumns, rows, { width, style, headings: false });
  const hidden = listed.length - rows.length;
  if (hidden > 0) {
    lines.push(style("dim", `   … and ${formatNumber(hidden)} more: ${hint(`show ${input.job.job}`)}`));
  }
  return lines;
}

const gravity: readonly TaskMark[] = ["failed", "timed_out", "failures", "aborted", "skipped"];

function rankTask(task: TaskView): number {
  return gravity.indexOf(markTask(task.status, task.warning));
}

/** The one sentence that says how a job ended: `hello-…: completed, 3 of 3 tasks in 2.1 s`. */
export function describeOutcome(job: Job, nowMs: number): string {
  const counts: TaskCounts = taskCounts(job.counts);
  const endMs = job.endedAt === undefined ? nowMs : Date.parse(job.endedAt);
  const span = formatDuration(endMs - Date.parse(job.createdAt));
  const of = (count: number): string => `${formatNumber(count)} of ${plural(job.total, "task")}`;
  const failed = counts.failed + counts.timed_out;
  switch (job.status) {
    case "completed":
      return `${job.job}: completed, ${of(counts.completed)} in ${span}${alsoSkipped(counts)}`;
    case "failed":
      return `${job.job}: failed, ${failed > 0 ? `${of(failed)} failed` : `${of(counts.aborted)} aborted`} in ${span}`;
    case "aborted":
      return `${job.job}: aborted, ${of(counts.completed)} completed in ${span}`;
    default:
      return `${job.job}: ${job.status}, ${of(countEnded(counts))} ended after ${span}`;
  }
}

function alsoSkipped(counts: TaskCounts): string {
  return counts.skipped === 0 ? "" : `, ${formatNumber(counts.skipped)} skipped`;
}
