/** The moments of a drain, counted from its start in milliseconds, in their order. */
export interface DrainPlan {
  /** Until here running tasks may finish by themselves; what is left then gets SIGTERM. */
  finishByMs: number;
  /** Until here what got SIGTERM may end by itself; then it gets SIGKILL. */
  killByMs: number;
  /** Until here logs and output are sent; what is not there by then is said to be missing. */
  keepByMs: number;
  /** Until here manifests are written: results that cannot be committed are at least reported. */
  commitByMs: number;
  /** Until here results are reported. */
  reportByMs: number;
  /** Until here the last messages are given back. */
  settleByMs: number;
  /** Until here everything is removed; then the process ends. */
  endByMs: number;
}

/** The end of a drain is for uploads and results, and the end of that for removing what was made; parts of it at most. */
const reportMs = 5_000;
const removeMs = 1_000;
/** Saying what became of a task is worth more than the rest of a large artifact. */
const sayMs = 1_500;

/**
 * Splits the time of a drain; a drain too short for the full grace period shortens it. `finishMs` is the longest time
 * that running tasks get to finish: what they do not get is there for the uploads.
 */
export function planDrain(times: { drainMs: number; killGraceMs: number; finishMs: number }): DrainPlan {
  const { drainMs, killGraceMs, finishMs } = times;
  const reportTimeMs = Math.min(reportMs, drainMs * 0.4);
  const graceMs = Math.min(killGraceMs, drainMs * 0.4);
  const removeTimeMs = Math.min(removeMs, drainMs * 0.2);
  const sayTimeMs = Math.min(sayMs, drainMs * 0.1);
  const finishByMs = Math.min(finishMs, drainMs - reportTimeMs - graceMs);
  const reportByMs = drainMs - removeTimeMs;
  return {
    finishByMs,
    killByMs: finishByMs + graceMs,
    keepByMs: reportByMs - sayTimeMs,
    commitByMs: reportByMs - sayTimeMs / 2,
    reportByMs,
    settleByMs: drainMs - removeTimeMs / 2,
    endByMs: drainMs,
  };
}

/** What a drain has to fit into; times in milliseconds. */
export interface DrainLimits {
  /** A message that is given back late shows by itself at the end of this time. */
  visibilityTimeoutMs: number;
  /** The service manager kills what has not ended so long after its SIGTERM; infinite where nothing does. */
  stopTimeoutMs: number;
}

/** The exit itself, and what is late by then: a drain is over so much before whoever would cut it short. */
export const stopMarginMs = 1_000;
/** EC2 tells so long before it takes a spot instance; every drain fits into it. */
export const spotNoticeMs = 120_000;

/** The longest drain that fits. */
export function longestDrainMs({ visibilityTimeoutMs, stopTimeoutMs }: DrainLimits): number {
  return Math.min(visibilityTimeoutMs, spotNoticeMs - stopMarginMs, stopTimeoutMs - stopMarginMs);
}

/** Less is not worth planning; a machine that goes earlier is a machine that dies. */
export const shortestDrainMs = 500;

/** The time of a drain on a machine that goes away at `endsAtMs`, which may be sooner than a drain may take. */
export function fitIntoNotice(drainMs: number, endsAtMs: number, nowMs: number): number {
  return Math.max(Math.min(drainMs, shortestDrainMs), Math.min(drainMs, endsAtMs - nowMs - stopMarginMs));
}
