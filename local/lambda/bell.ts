import { setTimeout as sleep } from "node:timers/promises";

/** Wakes those who wait. A ring between a look and the wait that follows it is not missed: rings are counted. */
export interface Bell {
  ring(): void;
  /** Rings so far. */
  count(): number;
  /** Resolves at the first ring beyond that count, or after the time. */
  waitBeyond(count: number, timeoutMs: number): Promise<void>;
}

export function createBell(): Bell {
  let rings = 0;
  const waiting = new Set<() => void>();
  return {
    ring() {
      rings += 1;
      for (const wake of [...waiting]) wake();
    },
    count: () => rings,
    waitBeyond: (count, timeoutMs) =>
      new Promise((resolve) => {
        if (rings > count) return resolve();
        const wake = () => {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, timeoutMs);
        waiting.add(wake);
      }),
  };
}

/** Waits for a time, or until the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
