import { timing } from "./timing.ts";

/**
 * States of a worker on record: `starting → alive → draining → stopped`. Whoever is none of the last two and was silent
 * for three heartbeats is `lost`, and comes back with its next one. Silence is counted by the control plane's clock: the
 * worker's own decides nothing.
 */
export const workerStates = ["starting", "alive", "draining", "lost", "stopped"] as const;
export type WorkerState = (typeof workerStates)[number];

/** What tells whether a worker lives. `lastSeenMs`: when the control plane last heard of it, by its own clock. */
export interface WorkerLife {
  state: WorkerState;
  lastSeenMs: number;
}

/** Whether a worker that should be heard of has been silent for three heartbeats. */
export function isSilent({ state, lastSeenMs }: WorkerLife, nowMs: number): boolean {
  return state !== "lost" && state !== "stopped" && nowMs - lastSeenMs > timing.workerSilentMs;
}

/** A worker's state as it is now, also where nobody has written down yet that it is lost. */
export function stateNow(worker: WorkerLife, nowMs: number): WorkerState {
  return isSilent(worker, nowMs) ? "lost" : worker.state;
}
