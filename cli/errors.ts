import { ApiError, ConnectionError, unexpectedAnswerCode } from "../shared/api-client/errors.ts";
import { oneLine } from "./terminal/one-line.ts";

/** Exit codes of `sluice`, as documented. */
export const exitCodes = {
  completed: 0,
  failed: 1,
  usage: 2,
  aborted: 3,
  unreachable: 4,
  notFound: 5,
  interrupted: 130,
} as const;

/** A command cannot go on: a message that says what happened and what to do, and the exit code. */
export class CliError extends Error {
  readonly exitCode: number;
  /** Lines to show under the message, such as the problems of a job file. */
  readonly details: readonly string[];

  constructor(exitCode: number, message: string, options: { details?: readonly string[]; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CliError";
    this.exitCode = exitCode;
    this.details = options.details ?? [];
  }
}

/** Ctrl-C was pressed: the reason of the signal that a command hands to what it waits for. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

/** What the user is told about a fault, and the exit code of the process. */
export interface Explanation {
  exitCode: number;
  message: string;
  details: readonly string[];
}

/** Turns whatever a command threw into words and an exit code: the one table of both. */
export function explainError(error: unknown): Explanation {
  if (error instanceof CliError) return error;
  if (error instanceof Interrupted) return { exitCode: exitCodes.interrupted, message: "interrupted", details: [] };
  if (error instanceof ApiError) return explainApiError(error);
  if (error instanceof ConnectionError) return explainConnectionError(error);
  const message = error instanceof Error ? error.message : String(error);
  return { exitCode: exitCodes.failed, message: `unexpected: ${message}`, details: ["run it again with -v for more"] };
}

function explainApiError(error: ApiError): Explanation {
  const detail = oneLine(error.detail);
  const details = error.problems.map(({ path, message }) => oneLine(path === "" ? message : `${path}: ${message}`));
  if (error.code === unexpectedAnswerCode) return { exitCode: exitCodes.unreachable, message: detail, details };
  if (error.status === 401) {
    const advice = "give a valid token by --token or SLUICE_TOKEN; the local stack's is found from its own folder";
    return { exitCode: exitCodes.unreachable, message: `not allowed: ${detail}`, details: [advice] };
  }
  if (error.status === 403) {
    const advice = "this token's role does not allow it; use another by --token or SLUICE_TOKEN";
    return { exitCode: exitCodes.unreachable, message: `not allowed: ${detail}`, details: [advice] };
  }
  if (error.status === 404) return { exitCode: exitCodes.notFound, message: detail, details };
  // Nothing failed and nothing was wrong with the request: only its time.
  if (error.status === 429) return { exitCode: exitCodes.unreachable, message: detail, details };
  if (error.status >= 500) {
    const request = error.requestId === undefined ? "" : ` (request ${oneLine(error.requestId)})`;
    return { exitCode: exitCodes.unreachable, message: `the control plane failed: ${detail}${request}`, details };
  }
  return { exitCode: exitCodes.usage, message: detail, details };
}

function explainConnectionError(error: ConnectionError): Explanation {
  const exitCode = exitCodes.unreachable;
  const { url, kind } = error;
  const reason = oneLine(error.message);
  if (isLoopback(url) && (kind === "refused" || kind === "not_found")) {
    const message = `cannot reach ${url}: is the local stack running? Start it with \`sluice dev\``;
    return { exitCode, message, details: [] };
  }
  const advice: Record<ConnectionError["kind"], string> = {
    refused: "nothing listens there; is the URL right?",
    not_found: "there is no such host; is the URL right?",
    reset: "the connection broke off; try again",
    timeout: "no answer in time; try again",
    tls: `its certificate is not accepted (${reason})`,
    other: reason,
  };
  return { exitCode, message: `cannot reach ${url}: ${advice[kind]}`, details: [] };
}

/** Whether a URL leads to this machine. */
export function isLoopback(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
