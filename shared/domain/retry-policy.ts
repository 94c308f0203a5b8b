import type { Reason } from "./reason.ts";
import { maxInfrastructureAttempts } from "./timing.ts";

/**
 * What follows from an attempt that did not complete: another one after a delay, or the end of the task. `counted`:
 * it used up one of the tries that infrastructure gets.
 */
export type RetryDecision = { retry: true; delaySeconds: number; counted: boolean } | { retry: false };

const firstDelaySeconds = 1;
const longestDelaySeconds = 60;

/**
 * Infrastructure failures are tried again with exponential backoff (1, 2, 4 … 60 s) up to a limit; user failures are
 * not. `infrastructureFailures` counts the attempts of this task that infrastructure ended, this one included. An
 * attempt that a drain cut short is no failure: it is tried again at once and not counted.
 */
export function decideRetry(reason: Reason | undefined, infrastructureFailures: number): RetryDecision {
  if (reason?.fault !== "infrastructure") return { retry: false };
  if (reason.code === "drained") return { retry: true, delaySeconds: 0, counted: false };
  if (infrastructureFailures >= maxInfrastructureAttempts) return { retry: false };
  const delaySeconds = Math.min(longestDelaySeconds, firstDelaySeconds * 2 ** Math.max(0, infrastructureFailures - 1));
  return { retry: true, delaySeconds, counted: true };
}
