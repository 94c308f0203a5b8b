import { useSyncExternalStore } from "react";

const tickMs = 1_000;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let nowMs = Date.now();

function tick(): void {
  if (document.hidden) return;
  nowMs = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  // Nobody may have asked for long.
  if (timer === undefined) nowMs = Date.now();
  timer ??= setInterval(tick, tickMs);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** The time in milliseconds since the epoch, to the second: one clock for all of the page, which rests in the background. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => nowMs);
}

/** What `read` makes of the time: the component is drawn again only where that has changed. */
export function useClock(read: (nowMs: number) => string): string {
  return useSyncExternalStore(subscribe, () => read(nowMs));
}
