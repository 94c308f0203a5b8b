/** The times of a drain, counted from its start in milliseconds. */
export interface DrainPlan {
  /** Until here running tasks may finish by themselves. */
  finishByMs: number;
  /** What is left gets SIGTERM at `finishByMs` and SIGKILL this much later. */
  killGraceMs: number;
  /** Until here logs, output and results are sent; then the process ends. */
  endByMs: number;
}

/** The end of a drain is for uploads and results: this much of it, but not more than a fifth. */
const reportMs = 5_000;

/** Splits the time of a drain; a drain too short for the full grace period shortens it. */
export function planDrain(drainMs: number, killGraceMs: number): DrainPlan {
  const reportTimeMs = Math.min(reportMs, drainMs / 5);
  const graceMs = Math.min(killGraceMs, drainMs / 2);
  return { finishByMs: drainMs - reportTimeMs - graceMs, killGraceMs: graceMs, endByMs: drainMs };
}
