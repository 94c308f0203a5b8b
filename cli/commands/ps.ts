import type { Job } from "../../shared/api/schemas.ts";
import { formatAge, formatDuration, formatNumber } from "../../shared/domain/format.ts";
import type { JobState } from "../../shared/domain/job-state.ts";
import { countEnded, taskCounts } from "../../shared/domain/task-counts.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { jobColors } from "../terminal/symbols.ts";
import { type Cell, type Column, renderTable } from "../terminal/table.ts";

/** Options of `sluice ps`. */
export interface PsOptions {
  status?: JobState;
  name?: string;
  limit: number;
  all?: boolean;
}

/** The most the API gives on one page of jobs. */
const pageSize = 100;

/** `sluice ps`: jobs, newest first. */
export function ps(context: Context, options: PsOptions): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const wanted = options.all === true ? Number.POSITIVE_INFINITY : options.limit;
    const query = { status: options.status, name: options.name, limit: Math.min(pageSize, wanted) };
    const jobs: Job[] = [];
    let more = false;
    for await (const job of context.api().eachJob(query, { signal })) {
      more = jobs.length >= wanted;
      if (more) break;
      jobs.push(job);
    }
    if (context.json) context.writeJson({ jobs, more });
    else showJobs(context, jobs, more, options);
    return exitCodes.completed;
  });
}

function showJobs(context: Context, jobs: readonly Job[], more: boolean, options: PsOptions): void {
  const { out, runtime } = context;
  if (jobs.length === 0) {
    const filtered = options.status !== undefined || options.name !== undefined;
    context.note(filtered ? "no such jobs" : `no jobs yet; run one: ${context.hint("run FILE")}`);
    return;
  }
  out.writeLines(renderJobs(jobs, { width: out.columns, style: out.style, nowMs: runtime.now() }));
  if (more) context.note("there are more: --limit N, or --all");
}

const columns: readonly Column[] = [
  { heading: "JOB", shrinkTo: 30 },
  { heading: "STATUS" },
  { heading: "TASKS", align: "right" },
  { heading: "PROBLEMS", shrinkTo: 8 },
  { heading: "TIME", align: "right" },
  { heading: "SUBMITTED", align: "right" },
  { heading: "BY", shrinkTo: 8 },
];

/** Lines of the table of jobs. */
export function renderJobs(
  jobs: readonly Job[],
  options: { width: number; style: Context["out"]["style"]; nowMs: number },
): string[] {
  const rows = jobs.map((job) => jobRow(job, options.nowMs));
  return renderTable(columns, rows, options);
}

function jobRow(job: Job, nowMs: number): Cell[] {
  const counts = taskCounts(job.counts);
  const createdMs = Date.parse(job.createdAt);
  const endMs = job.endedAt === undefined ? nowMs : Date.parse(job.endedAt);
  const failed = counts.failed + counts.timed_out;
  const problems = [
    failed > 0 ? `${formatNumber(failed)} failed` : "",
    counts.aborted > 0 ? `${formatNumber(counts.aborted)} aborted` : "",
  ];
  return [
    { text: oneLine(job.job) },
    { text: job.status, style: jobColors[job.status] },
    { text: `${formatNumber(countEnded(counts))}/${formatNumber(job.total)}` },
    { text: problems.filter((part) => part !== "").join(", "), style: failed > 0 ? "red" : "dim" },
    { text: formatDuration(endMs - createdMs) },
    { text: formatAge(nowMs - createdMs), style: "dim" },
    { text: oneLine(job.submittedBy), style: "dim" },
  ];
}
