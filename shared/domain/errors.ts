/**
 * Codes of faults, each with the HTTP status the API answers with. Codes are stable: clients branch on them.
 * 4xx are the caller's to mend; 5xx may be tried again.
 */
export const errorStatus = {
  invalid_request: 400,
  invalid_job: 400,
  too_many_tasks: 400,
  unknown_pool: 400,
  invalid_cursor: 400,
  unauthorized: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  image_missing: 409,
  idempotency_mismatch: 409,
  payload_too_large: 413,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  too_many_jobs: 429,
  internal: 500,
  unavailable: 503,
} as const;
export type ErrorCode = keyof typeof errorStatus;

/** A fault with a stable code. `message` says what happened, to what, and what to do next. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "AppError";
    this.code = code;
    this.retryable = errorStatus[code] >= 500;
    this.details = options.details ?? {};
  }
}
