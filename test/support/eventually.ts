import { setTimeout as sleep } from "node:timers/promises";

const firstPauseMs = 50;
const longestPauseMs = 200;

/**
 * Waits until a check passes (or stops throwing) and answers what it answered; at the deadline its last failure is
 * thrown. What takes long is asked for less often: the asking must not keep busy what is waited for.
 */
export async function eventually<T>(
  check: () => Promise<T> | T,
  what: string,
  deadlineMs = 60_000,
): Promise<NonNullable<T>> {
  const startedAt = Date.now();
  for (let failure: unknown; ; ) {
    try {
      const answer = await check();
      if (answer) return answer;
    } catch (error) {
      failure = error;
    }
    const waitedMs = Date.now() - startedAt;
    if (waitedMs > deadlineMs) throw new Error(`not in time: ${what}`, { cause: failure });
    await sleep(Math.min(longestPauseMs, firstPauseMs + waitedMs / 20));
  }
}
