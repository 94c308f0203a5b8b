import type { Worker } from "../../shared/api/schemas.ts";
import type { WorkerState } from "../../shared/domain/worker-state.ts";

/** Which workers to show. */
export interface WorkerFilter {
  pool?: string | undefined;
  state?: WorkerState | undefined;
  /** A part of the machine's name, of the worker's id, or of what its provider calls the machine. */
  find?: string | undefined;
}

/** Whether a worker has neither ended nor been lost. */
export function isHere({ state }: Pick<Worker, "state">): boolean {
  return state !== "stopped" && state !== "lost";
}

/** The workers that are wanted, in the order in which they are given. */
export function filterWorkers(workers: readonly Worker[], { pool, state, find = "" }: WorkerFilter): Worker[] {
  const wanted = find.trim().toLowerCase();
  const isLike = ({ host, workerId, instanceId, instanceType }: Worker) =>
    [host, workerId, instanceId, instanceType].some((text) => text?.toLowerCase().includes(wanted));
  return workers.filter(
    (worker) =>
      (pool === undefined || worker.pool === pool) && (state === undefined || worker.state === state) && isLike(worker),
  );
}

/** When a worker that is gone was there last. */
export function goneAt({ stoppedAt, lastSeenAt }: Pick<Worker, "stoppedAt" | "lastSeenAt">): string {
  return stoppedAt ?? lastSeenAt;
}
