/** A claim's right to report for its task, as far as this worker can know without asking. */
export interface LeaseOptions {
  attemptId: string;
  leaseToken: string;
  leaseMs: number;
  /** When the claim that granted it was sent: the control plane's time started no earlier. */
  grantedAtMs: number;
  /** A clock that only goes forward, in milliseconds. */
  nowMs: () => number;
}

/** The end of a lease comes this much early for its holder, so that nothing of it runs when another one starts. */
const earlyShare = 0.1;
const maxEarlyMs = 1_000;

/**
 * The lease of an attempt. It is lost when the control plane says so, or by this worker's own clock when no renewal
 * came through: a worker that is cut off must stop by itself, since somebody else will be given the task.
 */
export class Lease {
  readonly attemptId: string;
  readonly leaseToken: string;
  readonly #options: LeaseOptions;
  readonly #lost = new AbortController();
  #expiry: NodeJS.Timeout | undefined;
  #renewedAtMs: number;

  constructor(options: LeaseOptions) {
    this.attemptId = options.attemptId;
    this.leaseToken = options.leaseToken;
    this.#options = options;
    this.#renewedAtMs = options.grantedAtMs;
    this.#schedule();
  }

  /** Aborted when the lease is lost; its reason says how. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Extends the lease from the time the renewal was sent. A renewal that was overtaken changes nothing. */
  renew(sentAtMs: number): void {
    if (this.#lost.signal.aborted || sentAtMs <= this.#renewedAtMs) return;
    this.#renewedAtMs = sentAtMs;
    this.#schedule();
  }

  lose(why: string): void {
    clearTimeout(this.#expiry);
    this.#lost.abort(new LeaseLost(why));
  }

  /** Ends the watch; the attempt is over. */
  end(): void {
    clearTimeout(this.#expiry);
  }

  #schedule(): void {
    clearTimeout(this.#expiry);
    const { leaseMs, nowMs } = this.#options;
    const validMs = leaseMs - Math.min(maxEarlyMs, leaseMs * earlyShare);
    const leftMs = this.#renewedAtMs + validMs - nowMs();
    this.#expiry = setTimeout(
      () => this.lose(`it was not renewed for ${Math.round(validMs / 1000)} s: the control plane cannot be reached`),
      Math.max(0, leftMs),
    );
  }
}

/** The reason of a lost lease. */
export class LeaseLost extends Error {
  constructor(why: string) {
    super(`the lease is lost: ${why}`);
    this.name = "LeaseLost";
  }
}
