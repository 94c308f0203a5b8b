/** The times of a drain, counted from its start in milliseconds. */
export interface DrainPlan {
  /** Until here running tasks may finish by themselves. */
  finishByMs: number;
  /** What is left gets SIGTERM at `finishByMs` and SIGKILL this much later. */
  killGraceMs: number;
  /** Until here logs, output and results are sent. */
  reportByMs: number;
  /** Until here everything is removed; then the process ends. */
  endByMs: number;
}

/** The end of a drain is for uploads and results, and the end of that for removing what was made; parts of it at most. */
const reportMs = 5_000;
const removeMs = 1_000;

/** Splits the time of a drain; a drain too short for the full grace period shortens it. */
export function planDrain(drainMs: number, killGraceMs: number): DrainPlan {
  const reportTimeMs = Math.min(reportMs, drainMs * 0.4);
  const graceMs = Math.min(killGraceMs, drainMs * 0.4);
  return {
    finishByMs: drainMs - reportTimeMs - graceMs,
    killGraceMs: graceMs,
    reportByMs: drainMs - Math.min(removeMs, drainMs * 0.2),
    endByMs: drainMs,
  };
}
