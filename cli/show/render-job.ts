import type { Job, TaskSummary } from "../../shared/api/schemas.ts";
import { type TaskView, taskSpanMs, viewTask } from "../../shared/api-client/job-view.ts";
import { formatAge, formatBytes, formatDuration, formatNumber, plural } from "../../shared/domain/format.ts";
import { countEnded, taskCounts } from "../../shared/domain/task-counts.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { jobColors } from "../terminal/symbols.ts";
import { type Cell, type Column, renderTable } from "../terminal/table.ts";
import { formatBar, formatCounts } from "../watch/counts-line.ts";
import { explainReason, explainWaiting, lookOf } from "../watch/task-line.ts";
import { formatMoment, renderFields } from "./fields.ts";
import { formatPercent } from "./footprint.ts";

/** How a job is shown. */
export interface ShowOptions {
  width: number;
  style: Style;
  nowMs: number;
  /** Makes a command for the user to type. */
  hint: (command: string) => string;
}

/** Where a task's footprint is told, if any has one. */
const footprintColumns: readonly Column[] = [
  { heading: "CPU", align: "right" },
  { heading: "MEMORY", align: "right" },
];

const taskColumns = (hasFootprints: boolean): readonly Column[] => [
  { heading: "" },
  { heading: "TASK", shrinkTo: 16 },
  { heading: "STATUS" },
  { heading: "TIME", align: "right" },
  { heading: "ATTEMPTS", align: "right" },
  ...(hasFootprints ? footprintColumns : []),
  { heading: "ARTIFACT", align: "right" },
  { heading: "REASON", shrinkTo: 24, wrap: true },
];

/** Everything about a job, with the tasks given; `hidden` tells how many completed ones were left out. */
export function renderJob(
  job: Job,
  tasks: readonly TaskSummary[],
  options: ShowOptions & { hidden: number },
): string[] {
  const { style, nowMs, width, hint, hidden } = options;
  const counts = taskCounts(job.counts);
  const warnings = tasks.filter(({ status, warning }) => status === "failed" && warning === true).length;
  const endMs = job.endedAt === undefined ? nowMs : Date.parse(job.endedAt);
  const abort = { never: undefined, "on-failure": "on failures (exit 42)", "on-error": "on errors" }[job.abort];
  const cancel = job.cancel && `${oneLine(job.cancel.detail)}, ${formatAge(nowMs - Date.parse(job.cancel.at))}`;
  const bar = formatBar(counts, warnings, Math.min(40, width - 30), style);
  const lines = [
    `${style("bold", oneLine(job.job))}  ${style(jobColors[job.status], job.status)}`,
    `${bar}  ${formatNumber(countEnded(counts))} of ${plural(job.total, "task")} ended`,
    formatCounts(counts, warnings, style),
    "",
    ...renderFields(
      [
        ["pool", oneLine(job.pool)],
        ["submitted", `${formatMoment(job.createdAt, formatAge, nowMs)} by ${oneLine(job.submittedBy)}`],
        ["started", formatMoment(job.startedAt, formatAge, nowMs)],
        ["ended", formatMoment(job.endedAt, formatAge, nowMs)],
        ["time", formatDuration(endMs - Date.parse(job.createdAt))],
        ["aborts", abort],
        ["cancelled", cancel && style("yellow", cancel)],
      ],
      style,
    ),
  ];
  if (tasks.length > 0) {
    const hasFootprints = tasks.some(({ footprint }) => footprint !== undefined);
    const rows = tasks.map((task) => taskRow(viewTask(task), nowMs, hasFootprints ? footprintCells(task) : []));
    lines.push("", ...renderTable(taskColumns(hasFootprints), rows, { width, style }));
  }
  if (hidden > 0) {
    const all = hint(`show ${job.job} --all`);
    lines.push(style("dim", `   … and ${formatNumber(hidden)} completed: ${all}`));
  }
  return lines;
}

function footprintCells({ footprint }: TaskSummary): Cell[] {
  return [
    { text: footprint ? formatPercent(footprint.cpuAvg) : "", style: "dim" },
    { text: footprint ? formatBytes(footprint.memoryMax) : "", style: "dim" },
  ];
}

function taskRow(task: TaskView, nowMs: number, used: readonly Cell[]): Cell[] {
  const { symbol, label, color } = lookOf(task);
  const spanMs = taskSpanMs(task, nowMs);
  return [
    { text: symbol, style: color },
    { text: oneLine(task.task) },
    { text: label, style: color },
    { text: spanMs === undefined ? "" : formatDuration(spanMs) },
    { text: task.attempt === 0 ? "" : String(task.attempt) },
    ...used,
    { text: task.artifactCount === 0 ? "" : formatBytes(task.artifactBytes), style: "dim" },
    { text: explainWaiting(task) ?? explainReason(task.reason), style: color },
  ];
}
