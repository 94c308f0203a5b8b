/** Time as the server sees it; replaced in tests. */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once after the delay, unless the returned function is called before. */
  startTimer(callback: () => void, delayMs: number): () => void;
};

/** The machine's clock. Its timers do not keep the process alive: the listening socket does. */
export const systemClock: Clock = {
  now: Date.now,
  startTimer(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Timers stand still while a laptop sleeps, deadlines do not: so no timer runs longer than this before the clock is
 * looked at again. Once every half minute is nothing to an idle processor.
 */
const MAX_TIMER_MS = 30_000;

/** One timer for the earliest of many deadlines. */
export class Alarm {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #atMs: number | undefined;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Sets the alarm to a point in time, or switches it off. Cheap when nothing changes. */
  set(atMs: number | undefined): void {
    if (atMs === this.#atMs) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#atMs = atMs;
    if (atMs !== undefined) this.#start(atMs);
  }

  /** Sets the alarm only if it is off or would ring later. */
  setIfEarlier(atMs: number): void {
    if (this.#atMs === undefined || atMs < this.#atMs) this.set(atMs);
  }

  #start(atMs: number): void {
    const delayMs = Math.min(Math.max(atMs - this.#clock.now(), 0), MAX_TIMER_MS);
    // Rounded up: a timer that fires a fraction early would find nothing due and start over.
    this.#cancel = this.#clock.startTimer(() => {
      this.#cancel = undefined;
      if (this.#clock.now() < atMs) {
        this.#start(atMs);
        return;
      }
      this.#atMs = undefined;
      this.#onDue();
    }, Math.ceil(delayMs));
  }
}
