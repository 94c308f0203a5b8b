import type { Clock } from "./clock.ts";

/** A clock for tests, which stands still unless it is moved. */
export class FakeClock implements Clock {
  #nowMs: number;
  #timers: { atMs: number; callback: () => void }[] = [];

  constructor(nowMs = 1_750_000_000_000) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  get timerCount(): number {
    return this.#timers.length;
  }

  startTimer(callback: () => void, delayMs: number): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves the time and calls back the timers that come due on the way, each at its own time. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((one, other) => one.atMs - other.atMs)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = untilMs;
  }

  /** Moves the time without a timer noticing, as when a laptop sleeps. */
  sleep(byMs: number): void {
    this.#nowMs += byMs;
    for (const timer of this.#timers) timer.atMs += byMs;
  }
}
