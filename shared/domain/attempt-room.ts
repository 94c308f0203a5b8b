import type { LogSummary, StepResult } from "./manifest.ts";

/** What one attempt tells of its steps and logs. */
interface AttemptDetails {
  steps?: readonly StepResult[];
  logs?: readonly LogSummary[];
}

/**
 * JSON bytes that the steps and logs of a task's earlier attempts may take together. One item (400 KB) holds them beside
 * the task itself, its newest attempt, and all attempts' outcomes.
 */
const earlierAttemptsBytes = 80 * 1024;

/**
 * Those attempts, by their places, whose details have no room where another follows: the oldest. How each of them ended,
 * its artifacts and its logs in the bucket stay.
 */
export function findCrowdedOut(attempts: readonly AttemptDetails[]): number[] {
  let bytes = 0;
  const crowdedOut: number[] = [];
  for (const [place, { steps = [], logs = [] }] of [...attempts.entries()].reverse()) {
    if (steps.length + logs.length === 0) continue;
    bytes += Buffer.byteLength(JSON.stringify([steps, logs]));
    if (bytes > earlierAttemptsBytes) crowdedOut.push(place);
  }
  return crowdedOut.reverse();
}
