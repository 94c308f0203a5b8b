import type { Attempt, Task } from "../../shared/api/schemas.ts";
import { viewTask } from "../../shared/api-client/job-view.ts";
import { formatAge, formatBytes, formatDuration, formatLocalTime, formatNumber } from "../../shared/domain/format.ts";
import type { LogSummary, StepResult } from "../../shared/domain/manifest.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { renderTable } from "../terminal/table.ts";
import { wrap } from "../terminal/text.ts";
import { lookOf } from "../watch/task-line.ts";
import { type Field, formatMoment, renderFields } from "./fields.ts";
import { describeFootprint, describeWait } from "./footprint.ts";
import type { ShowOptions } from "./render-job.ts";

/** Everything about one task: where it stands and why, and each of its attempts with steps, logs and artifacts. */
export function renderTask(task: Task, options: ShowOptions): string[] {
  const { style, nowMs, width, hint } = options;
  const { symbol, label, color } = lookOf(viewTask(task));
  const name = style("bold", oneLine(`${task.job}/${task.task}`));
  const fields: Field[] = [
    ["slots", String(task.slots)],
    ["submitted", formatMoment(task.createdAt, formatAge, nowMs)],
    ["started", formatMoment(task.startedAt, formatAge, nowMs)],
    ["ended", formatMoment(task.endedAt, formatAge, nowMs)],
    ["waits for", task.waitingFor?.map(oneLine).join(", ")],
    ["cancelled", formatMoment(task.cancelRequestedAt, formatAge, nowMs)],
  ];
  const lines = [`${symbol} ${name}  ${style(color, label)}`];
  lines.push(...explainTask(task, width, style), "", ...renderFields(fields, style));
  for (const attempt of task.attempts) lines.push("", ...renderAttempt(attempt, task, options));
  if (task.attempts.length > 0) lines.push("", style("dim", `logs: ${hint(`logs ${task.job} ${task.task}`)}`));
  return lines;
}

/** The reason in full: its lines stay lines, for a service's last words are told in it. */
function explainTask(task: Task, width: number, style: Style): string[] {
  const { reason } = task;
  if (!reason) return [];
  const fault = reason.fault === "infrastructure" ? "infrastructure, not the task" : "the task or its job file";
  const detail = reason.detail.split("\n").flatMap((line) => wrap(oneLine(line), width - 3));
  // Nobody is at fault for what somebody asked for.
  const kind = reason.code === "cancelled" ? reason.code : `${reason.code}; at fault: ${fault}`;
  return [...detail.map((line) => `   ${line}`), style("dim", `   ${kind}`)];
}

function renderAttempt(attempt: Attempt, task: Task, { style, nowMs, width }: ShowOptions): string[] {
  const endMs = attempt.endedAt === undefined ? nowMs : Date.parse(attempt.endedAt);
  const span = formatDuration(endMs - Date.parse(attempt.claimedAt));
  const state = attempt.outcome?.state ?? (attempt.endedAt === undefined ? "running" : "given back");
  const waited = describeWait(attempt.waitedMs);
  const head = `attempt ${attempt.attempt}  ${state}  ${span}  on ${oneLine(attempt.workerId)}${waited && `  ${waited}`}`;
  const lines = [style("bold", head)];
  const { reason } = attempt.outcome ?? {};
  const isTold = reason?.detail === task.reason?.detail && attempt.attempt === task.attempt;
  if (reason && !isTold) lines.push(...wrap(oneLine(reason.detail), width - 3).map((line) => `   ${line}`));
  const rows = (attempt.steps ?? []).map((step) => {
    const log = attempt.logs?.find((summary) => summary.step === step.index);
    const spanMs = step.startedAt === undefined ? undefined : spanOf(step.startedAt, step.endedAt, nowMs);
    return [
      { text: `step ${step.index}` },
      { text: oneLine(step.name) },
      { text: spanMs === undefined ? "not reached" : formatDuration(spanMs), style: "dim" as const },
      { text: describeExit(step) },
      { text: log ? describeLog(log) : "", style: "dim" as const },
    ];
  });
  for (const log of attempt.logs ?? []) {
    if (log.service === undefined) continue;
    const words = ["service", oneLine(log.service), "", "", describeLog(log)];
    rows.push(words.map((text, index) => (index === 4 ? { text, style: "dim" as const } : { text })));
  }
  const columns = [{}, { shrinkTo: 10 }, { align: "right" as const }, {}, { align: "right" as const }];
  const table = columns.map((column) => ({ heading: "", ...column }));
  lines.push(...renderTable(table, rows, { width, style, headings: false, indent: 3 }));
  if (attempt.footprint) {
    const used = wrap(`used ${describeFootprint(attempt.footprint)}`, width - 3);
    lines.push(...used.map((line) => style("dim", `   ${line}`)));
  }
  for (const { name, size, keptUntil, incomplete } of attempt.artifacts ?? []) {
    const isOver = keptUntil !== undefined && Date.parse(keptUntil) <= nowMs;
    const until =
      keptUntil === undefined ? "" : `, ${isOver ? "expired on" : "kept until"} ${formatLocalTime(keptUntil)}`;
    lines.push(`   artifact ${oneLine(name)}  ${style("dim", `${formatBytes(size)}${until}`)}`);
    if (incomplete !== undefined)
      lines.push(...wrap(`lacks ${oneLine(incomplete)}`, width - 5).map((line) => `     ${line}`));
  }
  return lines;
}

function describeExit({ exitCode, outOfMemory }: StepResult): string {
  if (exitCode === undefined) return "";
  return `exit ${exitCode}${outOfMemory ? " (out of memory)" : ""}`;
}

function describeLog({ lines, droppedBytes }: LogSummary): string {
  const dropped = droppedBytes === undefined ? "" : `, ${formatBytes(droppedBytes)} beyond its limit not kept`;
  return `${formatNumber(lines)} lines${dropped}`;
}

function spanOf(startedAt: string, endedAt: string | undefined, nowMs: number): number {
  return (endedAt === undefined ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt);
}
