/** How long to wait before another try, growing from one to the next. */
export interface Backoff {
  firstMs: number;
  longestMs: number;
}

/**
 * Delay before try `tries + 1` (`tries` ≥ 1 have failed): doubles each time up to the longest, less up to half of it
 * by chance, so that clients cut off together do not come back together.
 */
export function backoffMs(backoff: Backoff, tries: number, random: () => number = Math.random): number {
  const fullMs = Math.min(backoff.longestMs, backoff.firstMs * 2 ** Math.min(20, tries - 1));
  return Math.round(fullMs * (1 - random() / 2));
}

/** Waits; rejects with the signal's reason as soon as it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
