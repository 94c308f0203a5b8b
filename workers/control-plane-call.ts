/** How long one call of the control plane may take, and what else ends it. */
export interface CallOptions {
  deadlineMs: number;
  signal?: AbortSignal;
}

/** A call that brought no answer to work with. Without a status nobody answered at all. */
export class ControlPlaneError extends Error {
  readonly status: number | undefined;
  /** False where the same call would be refused again. */
  readonly retryable: boolean;

  constructor(message: string, options: { status?: number; retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ControlPlaneError";
    this.status = options.status;
    this.retryable = options.retryable;
  }
}
