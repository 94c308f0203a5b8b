/** Ends something on which nothing moves for a time, in milliseconds: its signal is aborted then. */
export class IdleLimit {
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(idleMs: number) {
    this.#timer = setTimeout(() => this.#stop.abort(new Error(`nothing came for ${idleMs / 1000} s`)), idleMs);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Something moved: the time begins anew. */
  moved(): void {
    this.#timer.refresh();
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
