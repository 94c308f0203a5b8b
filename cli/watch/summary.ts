import type { Job } from "../../shared/api/schemas.ts";
import { type TaskCounts, taskCounts } from "../../shared/domain/task-counts.ts";
import { formatBytes, formatDuration, formatNumber, plural } from "../terminal/format.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { jobColors } from "../terminal/symbols.ts";
import { renderTable } from "../terminal/table.ts";
import { describeCounts, formatCounts } from "./counts-line.ts";
import type { TaskView } from "./job-view.ts";
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
  lines.push(style(["bold", jobColors[job.status]], describeOutcome(job, warnings, options.nowMs)));
  return lines;
}

function listTasks(input: SummaryInput, options: SummaryOptions): string[] {
  const { maxTasks, nowMs, width, style, hint } = options;
  const incomplete = input.tasks.filter(({ status }) => status !== "completed");
  const listed = options.listCompleted && input.tasks.length <= maxTasks ? input.tasks : incomplete;
  const rows = listed.slice(0, maxTasks).map((task) => taskRow(task, nowMs));
  const lines = renderTable(taskColumns, rows, { width, style, headings: false });
  const hidden = listed.length - rows.length;
  if (hidden > 0) {
    lines.push(style("dim", `   … and ${formatNumber(hidden)} more: ${hint(`show ${input.job.job}`)}`));
  }
  return lines;
}

/** The one sentence that says how a job ended, or where it stands: `hello-…: completed, 3 of 3 tasks in 2.1 s`. */
export function describeOutcome(job: Job, warnings: number, nowMs: number): string {
  const counts: TaskCounts = taskCounts(job.counts);
  const endMs = job.endedAt === undefined ? nowMs : Date.parse(job.endedAt);
  const span = formatDuration(endMs - Date.parse(job.createdAt));
  const sole = job.status === "completed" && counts.completed === job.total;
  if (sole) return `${job.job}: completed, ${formatNumber(job.total)} of ${plural(job.total, "task")} in ${span}`;
  return `${job.job}: ${job.status}, ${describeCounts(counts, warnings)} of ${plural(job.total, "task")} in ${span}`;
}
