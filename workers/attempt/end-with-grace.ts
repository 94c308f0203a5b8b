import type { RunningStep, StepExit } from "../executors/executor.ts";
import { sleep, withDeadline } from "../retry.ts";

/** After SIGKILL everything is over soon; longer than this only a broken machine takes. */
const killedDeadlineMs = 30_000;

/** Ends what runs: SIGTERM, a grace period in milliseconds, SIGKILL. With `hurry` it is killed at once. */
export async function endWithGrace(running: RunningStep, graceMs: number, hurry: AbortSignal): Promise<StepExit> {
  if (!hurry.aborted) {
    running.terminate();
    const grace = new AbortController();
    const gentleEnd = await Promise.race([
      running.ended,
      sleep(graceMs, AbortSignal.any([hurry, grace.signal])).then(() => undefined),
    ]).finally(() => grace.abort());
    if (gentleEnd !== undefined) return gentleEnd;
  }
  running.kill();
  return withDeadline(running.ended, killedDeadlineMs, "the end of a container or process after SIGKILL");
}
