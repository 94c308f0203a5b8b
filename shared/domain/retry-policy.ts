import type { AttemptOutcome } from "./manifest.ts";
import { maxAttempts, maxInfrastructureAttempts } from "./timing.ts";

/**
 * Failures of the user's that a job may ask to have tried again: by the code of their reason, but `failures` stands for
 * exit code 42, which is a result of the tests rather than an error. 43 (skipped) is never tried again.
 */
export const retryClasses = [
  "exit_code",
  "failures",
  "timed_out",
  "out_of_memory",
  "service_unhealthy",
  "secret_missing",
] as const;
export type RetryClass = (typeof retryClasses)[number];

/** What a job says about its own failures: tries in all that they may use up, and which of them count as such. */
export interface UserRetryPolicy {
  attempts: number;
  on: readonly RetryClass[];
}

/** How often attempts at a task failed since it was submitted or last retried by somebody, the one in question included. */
export interface FailureCounts {
  attempt: number;
  infrastructureFailures: number;
  userFailures: number;
}

/**
 * What follows from an attempt that did not complete: another one after a delay, or the end of the task. `counted`: as
 * whose failure it used up a try.
 */
export type RetryDecision =
  | { retry: true; delaySeconds: number; counted: "infrastructure" | "user" | "nobody" }
  | { retry: false };

const firstDelaySeconds = 1;
const longestDelaySeconds = 60;

/**
 * Infrastructure failures are tried again with exponential backoff (1, 2, 4 … 60 s) up to a limit, failures of the
 * user's alike where the job's policy says so. A task whose machine was taken away goes on at once, and counts. An attempt
 * that a drain cut short is no failure: it is tried again at once and not counted.
 */
export function decideRetry(
  { state, warning, reason }: Partial<AttemptOutcome>,
  failures: FailureCounts,
  policy: UserRetryPolicy | undefined,
): RetryDecision {
  if (!reason || state === "completed" || state === "aborted") return { retry: false };
  if (reason.fault === "infrastructure") {
    if (reason.code === "drained") return { retry: true, delaySeconds: 0, counted: "nobody" };
    if (failures.infrastructureFailures >= maxInfrastructureAttempts) return { retry: false };
    // What took the machine away is not met again elsewhere.
    const delaySeconds = reason.code === "spot_interrupted" ? 0 : delayAfter(failures.infrastructureFailures);
    return { retry: true, delaySeconds, counted: "infrastructure" };
  }
  const failureClass = reason.code === "exit_code" && warning ? "failures" : reason.code;
  const isWanted = policy?.on.some((wanted) => wanted === failureClass) && state !== "skipped";
  const hasTries = policy && failures.userFailures < policy.attempts && failures.attempt < maxAttempts;
  if (!isWanted || !hasTries) return { retry: false };
  return { retry: true, delaySeconds: delayAfter(failures.userFailures), counted: "user" };
}

function delayAfter(failures: number): number {
  return Math.min(longestDelaySeconds, firstDelaySeconds * 2 ** Math.max(0, failures - 1));
}
