import { z } from "zod";
import { timing } from "../shared/domain/timing.ts";
import { jobRules } from "../shared/jobfile/rules.ts";
import { parseDuration } from "../shared/jobfile/units.ts";
import { longestDrainMs, shortestDrainMs, spotNoticeMs, stopMarginMs } from "./drain-plan.ts";

/** When a worker ends and how long it takes; times in milliseconds. */
export interface DrainConfig {
  /** From what makes it end to its exit. */
  drainMs: number;
  /** The longest time that running tasks get to finish by themselves; a drain may have less. */
  finishMs: number;
  /** From SIGTERM to SIGKILL for a step. */
  killGraceMs: number;
  /** A worker that had no task for so long ends; undefined: it waits for ever. */
  idleTimeoutMs: number | undefined;
}

const wholeNumber = z.string().regex(/^\d+$/, "is a whole number").transform(Number);
const duration = z
  .string()
  .refine((text) => (parseDuration(text) ?? 0) >= 1_000, "is a time of a second at least, such as 90s or 10m")
  // A timer that is set for longer ends at once.
  .refine((text) => (parseDuration(text) ?? 0) <= jobRules.timeoutMs, "is at most 24d")
  .transform((text) => parseDuration(text) ?? 0);

/** The variables of the environment. */
export const drainEnv = {
  SLUICE_DRAIN_MS: wholeNumber.optional(),
  SLUICE_DRAIN_FINISH_MS: wholeNumber.optional(),
  SLUICE_KILL_GRACE_MS: wholeNumber.optional(),
  SLUICE_STOP_TIMEOUT_MS: wholeNumber.optional(),
  SLUICE_IDLE_TIMEOUT: duration.optional(),
};

/** A stop timeout shorter than this leaves no time to end anything. */
const shortestStopTimeoutMs = 2 * stopMarginMs;

/**
 * Reads how a worker ends, and holds the times against each other. `stopTimeoutMs` is what the service manager says by
 * itself; where the environment says another time the shorter one counts.
 */
export function readDrainConfig(
  env: Readonly<Record<string, string | undefined>>,
  managerStopTimeoutMs: number | undefined,
  problems: string[],
): DrainConfig | undefined {
  const parsed = z.object(drainEnv).safeParse(env);
  // Told with the other variables.
  if (!parsed.success) return undefined;
  const values = parsed.data;
  const countBefore = problems.length;
  const stopTimeoutMs = Math.min(values.SLUICE_STOP_TIMEOUT_MS ?? Infinity, managerStopTimeoutMs ?? Infinity);
  if (stopTimeoutMs < shortestStopTimeoutMs) {
    problems.push(
      `SLUICE_STOP_TIMEOUT_MS (${stopTimeoutMs}) leaves no time for a drain: let the service manager wait for ` +
        `${shortestStopTimeoutMs} ms at least (systemd: TimeoutStopSec)`,
    );
    return undefined;
  }
  const longestMs = longestDrainMs({ visibilityTimeoutMs: timing.visibilityTimeoutSeconds * 1000, stopTimeoutMs });
  const drainMs = values.SLUICE_DRAIN_MS ?? Math.min(timing.drainMs, longestMs);
  checkDrain(drainMs, stopTimeoutMs, problems);
  const killGraceMs = values.SLUICE_KILL_GRACE_MS ?? timing.killGraceMs;
  // Where nothing is said of both, a short drain shortens the grace period.
  const isSaid = values.SLUICE_KILL_GRACE_MS !== undefined || values.SLUICE_DRAIN_MS !== undefined;
  if (isSaid && killGraceMs >= drainMs) {
    problems.push(
      `SLUICE_KILL_GRACE_MS (${killGraceMs}) is shorter than SLUICE_DRAIN_MS (${drainMs}): a drain ends with a kill`,
    );
  }
  const finishMs = values.SLUICE_DRAIN_FINISH_MS ?? drainMs;
  if (finishMs > drainMs) {
    problems.push(`SLUICE_DRAIN_FINISH_MS (${finishMs}) is at most SLUICE_DRAIN_MS (${drainMs}): it is a part of it`);
  }
  if (problems.length > countBefore) return undefined;
  return { drainMs, finishMs, killGraceMs, idleTimeoutMs: values.SLUICE_IDLE_TIMEOUT };
}

function checkDrain(drainMs: number, stopTimeoutMs: number, problems: string[]): void {
  const visibilityTimeoutMs = timing.visibilityTimeoutSeconds * 1000;
  if (drainMs < shortestDrainMs) {
    problems.push(`SLUICE_DRAIN_MS (${drainMs}) is at least ${shortestDrainMs}: nothing can be ended in less`);
  }
  if (drainMs > visibilityTimeoutMs) {
    problems.push(
      `SLUICE_DRAIN_MS (${drainMs}) is at most ${visibilityTimeoutMs}: a drain fits into the visibility timeout of the ` +
        "queue",
    );
  }
  if (drainMs > spotNoticeMs - stopMarginMs) {
    problems.push(
      `SLUICE_DRAIN_MS (${drainMs}) is at most ${spotNoticeMs - stopMarginMs}: a drain fits into a spot notice`,
    );
  }
  if (drainMs > stopTimeoutMs - stopMarginMs) {
    problems.push(
      `SLUICE_DRAIN_MS (${drainMs}) does not fit into the service manager's stop timeout (${stopTimeoutMs} ms): let it ` +
        `wait for ${drainMs + stopMarginMs} ms at least (systemd: TimeoutStopSec, and SLUICE_STOP_TIMEOUT_MS where set), ` +
        `or set SLUICE_DRAIN_MS to ${stopTimeoutMs - stopMarginMs} at most`,
    );
  }
}
