/** The times of a drain, counted from its start in milliseconds. */
export interface DrainPlan {
  /** Until here running tasks may finish by themselves. */
  finishByMs: number;
  /** What is left gets SIGTERM at `finishByMs` and SIGKILL this much later. */
  killGraceMs: number;
  /** Until here logs and output are sent; what is not there by then is said to be missing. */
  keepByMs: number;
  /** Until here results are sent. */
  reportByMs: number;
  /** Until here everything is removed; then the process ends. */
  endByMs: number;
}

/** The end of a drain is for uploads and results, and the end of that for removing what was made; parts of it at most. */
const reportMs = 5_000;
const removeMs = 1_000;
/** Saying what became of a task is worth more than the rest of a large artifact. */
const sayMs = 1_500;

/** Splits the time of a drain; a drain too short for the full grace period shortens it. */
export function planDrain(drainMs: number, killGraceMs: number): DrainPlan {
  const reportTimeMs = Math.min(reportMs, drainMs * 0.4);
  const graceMs = Math.min(killGraceMs, drainMs * 0.4);
  const reportByMs = drainMs - Math.min(removeMs, drainMs * 0.2);
  return {
    finishByMs: drainMs - reportTimeMs - graceMs,
    killGraceMs: graceMs,
    keepByMs: reportByMs - Math.min(sayMs, drainMs * 0.1),
    reportByMs,
    endByMs: drainMs,
  };
}
