import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a check passes (or stops throwing) and answers what it answered; at the deadline its last failure is thrown. */
export async function eventually<T>(
  check: () => Promise<T> | T,
  what: string,
  deadlineMs = 60_000,
): Promise<NonNullable<T>> {
  const givesUpAt = Date.now() + deadlineMs;
  for (let failure: unknown; ; ) {
    try {
      const answer = await check();
      if (answer) return answer;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > givesUpAt) throw new Error(`not in time: ${what}`, { cause: failure });
    await sleep(50);
  }
}
