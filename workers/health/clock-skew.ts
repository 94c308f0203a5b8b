/** `Date` headers are in whole seconds. */
const headerStepMs = 1_000;
/** What was seen longer ago says nothing about the clock now. */
const keptMs = 120_000;

/** How far this machine's clock is from the control plane's, as its answers tell. */
export class ClockSkew {
  readonly #nowMs: () => number;
  #seen: { skewMs: number; atMs: number } | undefined;

  /** `nowMs` is a clock that only goes forward. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Notes the `Date` of an answer, between two readings of this machine's wall clock; only what is certain counts. */
  note(dateHeader: string | undefined, sentMs: number, answeredMs: number): void {
    const dateMs = Date.parse(dateHeader ?? "");
    if (!Number.isFinite(dateMs)) return;
    const aheadMs = sentMs - (dateMs + headerStepMs);
    const behindMs = dateMs - answeredMs;
    const skewMs = aheadMs > 0 ? aheadMs : behindMs > 0 ? -behindMs : 0;
    this.#seen = { skewMs, atMs: this.#nowMs() };
  }

  /** Milliseconds that this clock is ahead at least, below 0 where it is behind; undefined where nothing tells. */
  get skewMs(): number | undefined {
    if (this.#seen === undefined || this.#nowMs() - this.#seen.atMs > keptMs) return undefined;
    return this.#seen.skewMs;
  }
}
