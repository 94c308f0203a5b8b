import type { Pool, Worker } from "../../shared/api/schemas.ts";
import { formatAge, plural } from "../../shared/domain/format.ts";
import type { PoolState } from "../../shared/domain/pool-state.ts";
import type { WorkerState } from "../../shared/domain/worker-state.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { StyleName } from "../terminal/style.ts";

/** What a worker's state looks like. */
export const workerColors: Readonly<Record<WorkerState, StyleName>> = {
  starting: "dim",
  alive: "green",
  draining: "yellow",
  lost: "red",
  stopped: "dim",
};

/** What a pool's state looks like. */
export const poolColors: Readonly<Record<PoolState, StyleName>> = {
  alive: "green",
  degraded: "yellow",
  scaled_down: "dim",
  crashed: "red",
  unknown: "dim",
};

/** What is unusual about a worker. */
export function describeWorkerNotes(worker: Worker, nowMs: number): string {
  const ago = (iso: string) => formatAge(nowMs - Date.parse(iso));
  const { health, drainingSince, drainCause, drainRequestedAt, drainRequestedBy, abandoned = 0 } = worker;
  const notes: string[] = [];
  if (worker.instanceId !== undefined) notes.push(worker.instanceId);
  if (drainingSince !== undefined && worker.state !== "stopped") {
    const why = drainCause?.detail ?? drainCause?.kind;
    notes.push(`draining since ${ago(drainingSince)}${why === undefined ? "" : ` (${why})`}`);
  } else if (drainRequestedAt !== undefined && worker.state !== "stopped") {
    notes.push(`asked to drain ${ago(drainRequestedAt)}${drainRequestedBy ? ` by ${drainRequestedBy}` : ""}`);
  }
  if (health !== undefined && health.state !== "healthy") {
    const attempt = health.attempt === undefined ? "" : ` (attempt ${health.attempt})`;
    notes.push(`${health.state.replaceAll("_", " ")}${attempt}${health.detail ? `: ${health.detail}` : ""}`);
  }
  if (abandoned > 0) notes.push(`left ${plural(abandoned, "attempt")} behind`);
  return oneLine(notes.join("; "));
}

/** What is unusual about a pool. */
export function describePoolNotes({ configured, losses, more }: Pool, nowMs: number): string {
  const open = losses.filter(({ replaced }) => !replaced);
  const last = losses.at(-1);
  const lost = last && `${last.workerId} was lost ${formatAge(nowMs - Date.parse(last.at))}`;
  const others = open.length > 1 ? ` (${open.length} without another in their place)` : "";
  const notes = [lost && `${lost}${others}`, configured ? undefined : "not configured", more ? "and more" : undefined];
  return oneLine(notes.filter(Boolean).join("; "));
}
