import type { Failures, QueueDepth } from "../../shared/api/overview-schemas.ts";
import type { Job, Pool, Worker } from "../../shared/api/schemas.ts";
import { formatAge, formatBytes, formatDuration, formatNumber } from "../../shared/domain/format.ts";
import { nameReason } from "../../shared/domain/reason-words.ts";
import { countEnded, taskCounts } from "../../shared/domain/task-counts.ts";
import { describePoolNotes, describeWorkerNotes, poolColors, workerColors } from "../show/fleet-notes.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style, StyleName } from "../terminal/style.ts";
import { jobColors } from "../terminal/symbols.ts";
import { pad } from "../terminal/text.ts";
import { formatBar } from "../watch/counts-line.ts";
import type { ListCell, ListColumn } from "./columns.ts";
import { jobMarks } from "./marks.ts";

/** Columns of the list of pools as `poolCells` fills them; so for the others. */
export const poolColumns: readonly ListColumn[] = [
  { heading: "POOL", width: 12, most: 24 },
  { heading: "STATE", width: 11 },
  { heading: "WORKERS", width: 7, align: "right", drop: 4 },
  { heading: "SLOTS", width: 14, most: 30, drop: 2 },
  { heading: "QUEUED", width: 7, align: "right" },
  { heading: "IN FLIGHT", width: 9, align: "right", drop: 7 },
  { heading: "DELAYED", width: 7, align: "right", drop: 8 },
  { heading: "OLDEST", width: 11, align: "right", drop: 5 },
  { heading: "DEAD", width: 4, align: "right", drop: 3 },
  { heading: "", width: 20, most: 200, drop: 6 },
];

/** What is told of a pool. */
export function poolCells(pool: Pool, queue: QueueDepth | undefined, nowMs: number, style: Style): ListCell[] {
  const { alive, draining, starting } = pool.workers;
  const desired = pool.desired === undefined ? "" : `/${pool.desired}`;
  const count = (value: number | undefined): string => (value === undefined ? "?" : formatNumber(value));
  const dead = queue?.deadLetters ?? 0;
  const oldest = queue?.oldestQueuedAt;
  const notes = [
    queue?.error === undefined ? "" : `queue: ${oneLine(queue.error)}`,
    starting > 0 ? `${starting} starting` : "",
    draining > 0 ? `${draining} draining` : "",
    describePoolNotes(pool, nowMs),
  ];
  return [
    { text: oneLine(pool.pool) },
    { text: pool.state.replaceAll("_", " "), style: poolColors[pool.state] },
    { text: `${alive + draining + starting}${desired}` },
    { draw: (width) => renderUse(pool.slots - pool.slotsFree, pool.slots, { width, words: 7 }, style) },
    { text: count(queue?.visible) },
    { text: count(queue?.inFlight) },
    { text: count(queue?.delayed) },
    { text: oldest === undefined ? "" : formatDuration(nowMs - Date.parse(oldest)) },
    { text: queue?.deadLetters === undefined ? "?" : formatNumber(dead), style: dead > 0 ? "red" : "dim" },
    { text: notes.filter((note) => note !== "").join("; "), style: queue?.error === undefined ? "dim" : "red" },
  ];
}

/** Columns of such a bar, and how many of them are kept for its numbers. */
interface UseWidth {
  width: number;
  words: number;
}

/** A bar of what is used of so many, with both numbers; how full it is shows by its length first, then by its colour. */
function renderUse(used: number, total: number, { width, words: wordsWidth }: UseWidth, style: Style): string {
  const words = pad(`${formatNumber(used)}/${formatNumber(total)}`, Math.min(width, wordsWidth), "right");
  const room = width - words.length - 1;
  if (room < 2) return pad(words, width);
  const share = total > 0 ? Math.min(1, used / total) : 0;
  // Something is more than nothing, and not everything is less than all.
  const filled = share === 0 ? 0 : share === 1 ? room : Math.min(room - 1, Math.max(1, Math.round(share * room)));
  const color: StyleName = share < 0.3 ? "green" : share < 0.8 ? "yellow" : "red";
  return `${style(color, "█".repeat(filled))}${style("dim", "░".repeat(room - filled))} ${words}`;
}

export const workerColumns: readonly ListColumn[] = [
  { heading: "WORKER", width: 20, most: 28, cutsMiddle: true },
  { heading: "STATE", width: 10 },
  { heading: "SLOTS", width: 14, most: 30, drop: 1 },
  { heading: "TASKS", width: 5, align: "right", drop: 2 },
  { heading: "CPU", width: 5, align: "right", drop: 3 },
  { heading: "MEMORY", width: 15, align: "right", drop: 7 },
  { heading: "DISK FREE", width: 9, align: "right", drop: 8 },
  { heading: "SEEN", width: 10, align: "right", drop: 4 },
  { heading: "POOL", width: 10, most: 20, drop: 6 },
  { heading: "HOST", width: 12, most: 24, drop: 9 },
  { heading: "", width: 24, most: 200, drop: 5 },
];

/** What is told of a worker. */
export function workerCells(worker: Worker, nowMs: number, style: Style): ListCell[] {
  const { state, slots, slotsFree, held, use } = worker;
  const isThere = state === "alive" || state === "draining" || state === "starting";
  // One that drains has none to give.
  const used = state === "alive" ? slots - slotsFree : slots;
  const ofUse = (text: (use: NonNullable<Worker["use"]>) => string): ListCell => ({
    text: use && isThere ? text(use) : "",
  });
  return [
    { text: oneLine(worker.workerId), ...(!isThere && { style: "dim" as const }) },
    describeState(worker),
    isThere ? { draw: (width) => renderUse(used, slots, { width, words: 5 }, style) } : { text: "" },
    { text: state === "stopped" ? "" : formatNumber(held) },
    ofUse(({ cpu }) => `${Math.round(cpu * 100)} %`),
    ofUse(({ memoryBytes }) => `${formatBytes(memoryBytes.used)}/${formatBytes(memoryBytes.total)}`),
    ofUse(({ diskBytes }) => formatBytes(diskBytes.free)),
    { text: formatAge(nowMs - Date.parse(worker.lastSeenAt)), style: "dim" },
    { text: oneLine(worker.pool), style: "dim" },
    { text: oneLine(worker.host), style: "dim" },
    { text: describeWorkerNotes(worker, nowMs), style: worker.health?.state === "recovery_failed" ? "red" : "yellow" },
  ];
}

/** The state, or what is on its way to change it. */
function describeState({ state, health, drainRequestedAt }: Worker): ListCell {
  if (state === "alive" && drainRequestedAt !== undefined) return { text: "to drain", style: "yellow" };
  if (state === "alive" && health?.state === "recovering") return { text: "recovering", style: "yellow" };
  if (state === "alive" && health?.state === "recovery_failed") return { text: "broken", style: "red" };
  return { text: state, style: workerColors[state] };
}

export const jobColumns: readonly ListColumn[] = [
  { heading: "JOB", width: 24, most: 46, cutsMiddle: true },
  { heading: "STATE", width: 11 },
  { heading: "PROGRESS", width: 10, most: 40, drop: 2 },
  { heading: "DONE", width: 13, align: "right", drop: 1 },
  { heading: "RUN", width: 5, align: "right", drop: 4 },
  { heading: "BAD", width: 5, align: "right", drop: 3 },
  { heading: "TIME", width: 11, align: "right", drop: 5 },
  { heading: "POOL", width: 10, most: 20, drop: 7 },
  { heading: "BY", width: 10, most: 24, drop: 6 },
];

/** What is told of a job. */
export function jobCells(job: Job, nowMs: number, style: Style): ListCell[] {
  const counts = taskCounts(job.counts);
  const endMs = job.endedAt === undefined ? nowMs : Date.parse(job.endedAt);
  const bad = counts.failed + counts.timed_out + counts.aborted + counts.skipped;
  const isEnding = job.cancel !== undefined && job.endedAt === undefined;
  return [
    { text: oneLine(job.job) },
    isEnding
      ? { text: `${jobMarks.aborted} ending`, style: "yellow" }
      : { text: `${jobMarks[job.status]} ${job.status}`, style: jobColors[job.status] },
    { draw: (width) => formatBar(counts, 0, width, style) || " ".repeat(width) },
    { text: `${formatNumber(countEnded(counts))}/${formatNumber(job.total)}` },
    { text: counts.running > 0 ? formatNumber(counts.running) : "", style: "cyan" },
    { text: bad > 0 ? formatNumber(bad) : "", style: "red" },
    { text: formatDuration(endMs - Date.parse(job.createdAt)) },
    { text: oneLine(job.pool), style: "dim" },
    { text: oneLine(job.submittedBy), style: "dim" },
  ];
}

export const failureColumns: readonly ListColumn[] = [
  { heading: "FAILURES", width: 24, most: 32 },
  { heading: "ATTEMPTS", width: 8, align: "right" },
  { heading: "JOBS", width: 6, align: "right", drop: 3 },
  { heading: "FAULT", width: 14, drop: 2 },
  { heading: "NEWEST JOB", width: 16, most: 46, cutsMiddle: true, drop: 1 },
];

/** What is told of a reason for which attempts failed. */
export function failureCells({ code, attempts, jobs, fault, lastJob }: Failures["reasons"][number]): ListCell[] {
  return [
    { text: nameReason(code) },
    { text: formatNumber(attempts) },
    { text: formatNumber(jobs) },
    { text: fault, style: fault === "infrastructure" ? "yellow" : "dim" },
    { text: oneLine(lastJob), style: "dim" },
  ];
}
