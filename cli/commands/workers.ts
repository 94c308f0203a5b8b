import type { Worker } from "../../shared/api/schemas.ts";
import { formatAge, formatBytes, formatNumber, plural } from "../../shared/domain/format.ts";
import { type Context, withInterrupt } from "../context.ts";
import { exitCodes } from "../errors.ts";
import { describeWorkerNotes, workerColors } from "../show/fleet-notes.ts";
import { oneLine } from "../terminal/one-line.ts";
import { type Cell, type Column, renderTable } from "../terminal/table.ts";

/** Options of `sluice workers`. */
export interface WorkersOptions {
  pool?: string;
  all?: boolean;
}

/** `sluice workers`: those that live and those that were lost; with `--all` also those that stopped. */
export function listWorkers(context: Context, { pool, all = false }: WorkersOptions): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const workers: Worker[] = [];
    for await (const worker of context.api().eachWorker({ signal })) {
      if ((pool === undefined || worker.pool === pool) && (all || worker.state !== "stopped")) workers.push(worker);
    }
    if (context.json) context.writeJson({ workers });
    else if (workers.length === 0) context.note(all ? "no workers yet" : "no workers; those that stopped: --all");
    else showWorkers(context, workers);
    return exitCodes.completed;
  });
}

/** `sluice workers drain ID…`: lets workers finish what they hold and end. */
export function drainWorkers(context: Context, workerIds: readonly string[]): Promise<number> {
  return askWorkers(context, workerIds, "drain", "drains: it takes nothing new, and ends");
}

/** `sluice workers undrain ID…`: lets workers go on that were asked to drain. */
export function undrainWorkers(context: Context, workerIds: readonly string[]): Promise<number> {
  return askWorkers(context, workerIds, "undrain", "goes on: it takes tasks again");
}

function askWorkers(
  context: Context,
  workerIds: readonly string[],
  wish: "drain" | "undrain",
  outcome: string,
): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    for (const workerId of workerIds) {
      await context.api().askWorker(workerId, wish, { signal });
      if (!context.json) context.out.write(`${workerId} ${outcome}\n`);
    }
    if (context.json) context.writeJson({ workers: workerIds, wish });
    return exitCodes.completed;
  });
}

const columns: readonly Column[] = [
  { heading: "WORKER", shrinkTo: 10 },
  { heading: "POOL", shrinkTo: 8 },
  { heading: "STATE" },
  { heading: "SLOTS", align: "right" },
  { heading: "TASKS", align: "right" },
  { heading: "CPU", align: "right" },
  { heading: "MEMORY", align: "right" },
  { heading: "DISK FREE", align: "right" },
  { heading: "VERSION", shrinkTo: 7 },
  { heading: "SEEN", align: "right" },
  { heading: "NOTES", wrap: true, shrinkTo: 20 },
];

function showWorkers({ out, runtime, note }: Context, workers: readonly Worker[]): void {
  const rows = workers.map((worker) => workerRow(worker, runtime.now()));
  out.writeLines(renderTable(columns, rows, { width: out.columns, style: out.style }));
  const lost = workers.filter(({ state }) => state === "lost").length;
  note(`${plural(workers.length, "worker")}${lost > 0 ? `, ${formatNumber(lost)} of them lost` : ""}`);
}

function workerRow(worker: Worker, nowMs: number): Cell[] {
  const { state, slots, slotsFree, held, use } = worker;
  const isThere = state === "alive" || state === "draining" || state === "starting";
  const ofUse = (text: (use: NonNullable<Worker["use"]>) => string): Cell => ({
    text: use && isThere ? text(use) : "",
  });
  return [
    { text: oneLine(worker.workerId) },
    { text: oneLine(worker.pool) },
    { text: state, style: workerColors[state] },
    // One that drains has none to give.
    { text: isThere ? `${state === "alive" ? slots - slotsFree : slots}/${slots}` : String(slots) },
    { text: state === "stopped" ? "" : String(held) },
    ofUse(({ cpu }) => `${Math.round(cpu * 100)} %`),
    ofUse(({ memoryBytes: { used, total } }) => `${formatBytes(used)}/${formatBytes(total)}`),
    ofUse(({ diskBytes: { free } }) => formatBytes(free)),
    { text: oneLine(worker.build === undefined ? worker.version : `${worker.version} (${worker.build})`) },
    { text: formatAge(nowMs - Date.parse(worker.lastSeenAt)), style: "dim" },
    { text: describeWorkerNotes(worker, nowMs), style: "dim" },
  ];
}
