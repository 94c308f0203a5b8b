import type { Problem } from "../api/schemas.ts";
import { type Backoff, backoffMs, sleep } from "./backoff.ts";
import { ApiError, ConnectionError, toConnectionError, unexpectedAnswerCode } from "./errors.ts";

/** Where the API is and how to speak to it. */
export interface TransportOptions {
  /** Origin of the control plane, with or without a path before `/v1`. */
  url: string;
  token?: string | undefined;
  /** Headers that every request carries. */
  headers?: Readonly<Record<string, string>> | undefined;
  fetch?: typeof fetch | undefined;
  userAgent?: string | undefined;
  /** Longest wait for one answer, its body included. */
  callTimeoutMs?: number | undefined;
  /** Tries of one call, the first included. */
  tries?: number | undefined;
  backoff?: Backoff | undefined;
  /** Observes each retry; for messages to a user who asked for more words. */
  onRetry?: ((error: Error, delayMs: number) => void) | undefined;
}

export type QueryValue = string | number | undefined;

/** One request; every one Sluice's client makes may be repeated (reads, cancels, POSTs with an Idempotency-Key). */
export interface ApiRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: Readonly<Record<string, QueryValue>>;
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal | undefined;
}

/** Sends requests to one control plane. */
export interface Transport {
  readonly url: string;
  /** Calls and reads a JSON answer, with a deadline and retries. Throws ApiError or ConnectionError. */
  callJson<T>(request: ApiRequest): Promise<T>;
  /** One try that returns as soon as the headers are there, for streams; throws as `callJson`. */
  open(request: ApiRequest): Promise<Response>;
}

/** Longest wait for one answer of the API, its body included, unless told otherwise. */
export const defaultCallTimeoutMs = 30_000;
const defaults = { callTimeoutMs: defaultCallTimeoutMs, tries: 4, backoff: { firstMs: 200, longestMs: 2_000 } };
/** A server that asks for a longer pause gets this one: a user waits in front of the terminal. */
const longestRetryAfterMs = 10_000;

/** Creates the transport; the token goes into the Authorization header and nowhere else. */
export function createTransport(options: TransportOptions): Transport {
  const url = options.url.replace(/\/+$/, "");
  const doFetch = options.fetch ?? fetch;
  const callTimeoutMs = options.callTimeoutMs ?? defaults.callTimeoutMs;
  const tries = options.tries ?? defaults.tries;
  const backoff = options.backoff ?? defaults.backoff;

  async function fetchOnce(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { accept: "application/json", ...options.headers, ...request.headers };
    if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`;
    if (options.userAgent !== undefined) headers["user-agent"] = options.userAgent;
    const init: RequestInit = { method: request.method, headers, signal, redirect: "error" };
    if (request.body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(request.body);
    }
    const response = await doFetch(`${url}${request.path}${formatQuery(request.query)}`, init);
    if (!response.ok) throw await readError(response, url);
    return response;
  }

  /** Runs `work` under a deadline and says what failed; a stream opened by it outlives the deadline, not the caller. */
  async function withDeadline<T>(request: ApiRequest, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), callTimeoutMs);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline.signal]) : deadline.signal;
    try {
      return await work(signal);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      if (error instanceof ApiError) throw error;
      if (deadline.signal.aborted) {
        throw new ConnectionError("timeout", url, `no answer within ${callTimeoutMs / 1000} s`, error);
      }
      throw toConnectionError(error, url);
    } finally {
      clearTimeout(timer);
    }
  }

  async function callJson<T>(request: ApiRequest): Promise<T> {
    for (let tried = 1; ; tried++) {
      try {
        return await withDeadline(request, async (signal) => readJson<T>(await fetchOnce(request, signal), url));
      } catch (error) {
        if (!(error instanceof Error) || tried >= tries || !mayRetry(error)) throw error;
        const askedMs = error instanceof ApiError ? error.retryAfterMs : undefined;
        const delayMs = Math.min(longestRetryAfterMs, askedMs ?? backoffMs(backoff, tried));
        options.onRetry?.(error, delayMs);
        await sleep(delayMs, request.signal);
      }
    }
  }

  return { url, callJson, open: (request) => withDeadline(request, (signal) => fetchOnce(request, signal)) };
}

/** Whether the same request may succeed a moment later. Nobody listening is told at once: a user can mend that. */
export function mayRetry(error: Error): boolean {
  if (error instanceof ConnectionError) return error.kind === "reset";
  if (!(error instanceof ApiError)) return false;
  return error.status === 429 || error.status >= 500;
}

function formatQuery(query: ApiRequest["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

async function readJson<T>(response: Response, url: string): Promise<T> {
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch {
    throw unexpectedAnswer(response, url);
  }
}

async function readError(response: Response, url: string): Promise<ApiError> {
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  const problem = type.includes("json") ? parseProblem(text) : undefined;
  if (!problem) return unexpectedAnswer(response, url);
  return new ApiError({
    status: response.status,
    code: problem.code,
    detail: problem.detail,
    requestId: problem.requestId,
    problems: problem.problems,
    retryAfterMs: readRetryAfter(response),
  });
}

function parseProblem(text: string): Problem | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const problem = value as Partial<Problem>;
  return typeof problem.code === "string" && typeof problem.detail === "string" ? (problem as Problem) : undefined;
}

function unexpectedAnswer(response: Response, url: string): ApiError {
  const type = response.headers.get("content-type") ?? "no content type";
  return new ApiError({
    status: response.status,
    code: unexpectedAnswerCode,
    detail: `${url} answered ${response.status} with ${type}, which is not an answer of Sluice's API; is the URL right?`,
    retryAfterMs: readRetryAfter(response),
  });
}

function readRetryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
