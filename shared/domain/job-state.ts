import type { TaskCounts } from "./task-counts.ts";

/**
 * States of a job: `queued ─► running ─► completed | failed | aborted`; a job whose tasks end without running goes
 * straight from `queued` to its end.
 */
export const jobStates = ["queued", "running", "completed", "failed", "aborted"] as const;
export type JobState = (typeof jobStates)[number];
export type TerminalJobState = "completed" | "failed" | "aborted";

/** Tells whether a job in this state has ended. */
export function isTerminalJobState(state: JobState): state is TerminalJobState {
  return state === "completed" || state === "failed" || state === "aborted";
}

/**
 * The outcome of a job whose tasks have all ended. A cancelled job is aborted whatever its tasks did; a job that
 * aborted itself because of a failure (abort policy, job timeout) is failed.
 */
export function decideJobOutcome(counts: TaskCounts, cancelledByUser: boolean): TerminalJobState {
  if (cancelledByUser) return "aborted";
  if (counts.failed + counts.timed_out > 0) return "failed";
  if (counts.aborted > 0) return "aborted";
  return "completed";
}
