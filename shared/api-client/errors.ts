/** One mistake of a refused request: where in the body, and what is wrong there. */
export interface RequestProblem {
  path: string;
  message: string;
}

/** `code` of an answer that no Sluice control plane gives: another server, or a proxy, answered. */
export const unexpectedAnswerCode = "unexpected_answer";

/**
 * The API refused a call or failed at it. `code` is one of `shared/domain/errors.ts`, or `unexpected_answer` where
 * the answer was not the API's own (no problem+json); `status` is the HTTP status.
 */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string | undefined;
  readonly problems: readonly RequestProblem[];
  /** What the server asked to wait before another try, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(fields: {
    status: number;
    code: string;
    detail: string;
    requestId?: string | undefined;
    problems?: readonly RequestProblem[] | undefined;
    retryAfterMs?: number | undefined;
  }) {
    super(fields.detail);
    this.name = "ApiError";
    this.status = fields.status;
    this.code = fields.code;
    this.detail = fields.detail;
    this.requestId = fields.requestId;
    this.problems = fields.problems ?? [];
    this.retryAfterMs = fields.retryAfterMs;
  }
}

/**
 * Why there was no answer: nobody listens (`refused`), the name is unknown (`not_found`), the connection broke
 * (`reset`), nothing came in time (`timeout`), the certificate is not accepted (`tls`), or something else.
 */
export type ConnectionFailure = "refused" | "not_found" | "reset" | "timeout" | "tls" | "other";

/** There was no answer from the API; `url` is where it was looked for (never holds the token). */
export class ConnectionError extends Error {
  readonly kind: ConnectionFailure;
  readonly url: string;

  constructor(kind: ConnectionFailure, url: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ConnectionError";
    this.kind = kind;
    this.url = url;
  }
}

const kindByCode: Readonly<Record<string, ConnectionFailure>> = {
  ECONNREFUSED: "refused",
  ENOTFOUND: "not_found",
  EAI_AGAIN: "not_found",
  ECONNRESET: "reset",
  EPIPE: "reset",
  UND_ERR_SOCKET: "reset",
  ETIMEDOUT: "timeout",
  UND_ERR_CONNECT_TIMEOUT: "timeout",
  UND_ERR_HEADERS_TIMEOUT: "timeout",
  UND_ERR_BODY_TIMEOUT: "timeout",
  DEPTH_ZERO_SELF_SIGNED_CERT: "tls",
  SELF_SIGNED_CERT_IN_CHAIN: "tls",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "tls",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "tls",
  CERT_HAS_EXPIRED: "tls",
  ERR_TLS_CERT_ALTNAME_INVALID: "tls",
};

/** Makes a ConnectionError of what `fetch` threw; its causes hold the code of the operating system or of TLS. */
export function toConnectionError(error: unknown, url: string): ConnectionError {
  if (error instanceof ConnectionError) return error;
  const found = findCause(error, 0);
  const kind = kindByCode[found.code ?? ""] ?? "other";
  return new ConnectionError(kind, url, found.message, error);
}

/** The innermost cause; `fetch` wraps it, and an AggregateError holds one for each address tried. */
function findCause(error: unknown, depth: number): { code: string | undefined; message: string } {
  if (!(error instanceof Error)) return { code: undefined, message: String(error) };
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  // `fetch` itself says no more than "fetch failed".
  if (inner !== undefined && depth < 5) return findCause(inner, depth + 1);
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { code, message: error.message === "" ? (code ?? "no message") : error.message };
}
