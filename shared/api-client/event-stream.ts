import { createParser } from "eventsource-parser";
import { type Backoff, backoffMs, sleep } from "./backoff.ts";
import { ApiError, ConnectionError, toConnectionError } from "./errors.ts";

/** One server-sent event that carried data. */
export interface ServerSentEvent {
  event: string | undefined;
  id: string | undefined;
  data: string;
}

/** What a watcher may want to tell its user about the connection. */
export type StreamStatus =
  | { status: "connected" }
  | { status: "lost"; error: Error; retryInMs: number; lostForMs: number };

/** How patient a stream is. */
export interface StreamPatience {
  /** A connection on which nothing comes for this long, not even a comment, is given up for a new one. */
  livenessMs: number;
  /** Without any contact for this long the stream throws. */
  giveUpAfterMs: number;
  backoff: Backoff;
}

/** Keep-alive comments come every 15 s or sooner; a control plane that restarts is back well within two minutes. */
export const defaultPatience: StreamPatience = {
  livenessMs: 45_000,
  giveUpAfterMs: 120_000,
  backoff: { firstMs: 200, longestMs: 5_000 },
};

/** A stream of events that survives lost connections. */
export interface StreamOptions {
  /** Opens a connection that resumes after `lastEventId`; throws ApiError or ConnectionError. */
  open: (lastEventId: string | undefined, signal: AbortSignal) => Promise<Response>;
  url: string;
  lastEventId?: string | undefined;
  signal?: AbortSignal | undefined;
  patience?: Partial<StreamPatience> | undefined;
  onStatus?: ((status: StreamStatus) => void) | undefined;
  /** Whether a connection that the server closed after this event is the end of the stream without saying so. */
  isLast?: ((event: ServerSentEvent) => boolean) | undefined;
  now?: (() => number) | undefined;
}

/** The longest event: a line of a log is cut by the worker long before this. */
const maxEventCharacters = 8 * 1024 * 1024;

/**
 * Yields the events of a stream until the server sends `event: end`, through any number of lost connections, each
 * resumed by Last-Event-ID. Throws ApiError where the server refuses, ConnectionError where it stays away too long,
 * and the signal's reason when it is aborted.
 */
export async function* readEventStream(options: StreamOptions): AsyncGenerator<ServerSentEvent, void, undefined> {
  const patience = { ...defaultPatience, ...options.patience };
  const now = options.now ?? Date.now;
  const state: StreamState = { lastEventId: options.lastEventId, lostSinceMs: undefined, failures: 0, ended: false };
  while (true) {
    let error: Error;
    try {
      yield* readOneConnection(options, patience, state);
      if (state.ended) return;
      error = new ConnectionError("reset", options.url, "the server closed the stream");
    } catch (caught) {
      if (options.signal?.aborted) throw options.signal.reason;
      error = caught instanceof ApiError ? caught : toConnectionError(caught, options.url);
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
    }
    state.failures++;
    state.lostSinceMs ??= now();
    const lostForMs = now() - state.lostSinceMs;
    if (lostForMs > patience.giveUpAfterMs) throw error;
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const retryInMs = Math.min(10_000, Math.max(askedMs, backoffMs(patience.backoff, state.failures)));
    options.onStatus?.({ status: "lost", error, retryInMs, lostForMs });
    await sleep(retryInMs, options.signal);
  }
}

interface StreamState {
  lastEventId: string | undefined;
  /** When the connection broke that has not been replaced yet. */
  lostSinceMs: number | undefined;
  failures: number;
  ended: boolean;
}

async function* readOneConnection(
  options: StreamOptions,
  patience: StreamPatience,
  state: StreamState,
): AsyncGenerator<ServerSentEvent, void, undefined> {
  const connection = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, connection.signal]) : connection.signal;
  const received: ServerSentEvent[] = [];
  const parser = createParser({
    maxBufferSize: maxEventCharacters,
    onEvent: ({ event, id, data }) => received.push({ event, id, data }),
  });
  try {
    const response = await options.open(state.lastEventId, signal);
    state.lostSinceMs = undefined;
    options.onStatus?.({ status: "connected" });
    let last: ServerSentEvent | undefined;
    for await (const text of readText(response, connection, patience.livenessMs)) {
      parser.feed(text);
      for (const event of received.splice(0)) {
        if (event.id !== undefined && event.id !== "") state.lastEventId = event.id;
        if (event.event === "end") {
          state.ended = true;
          return;
        }
        // Only an event shows that the stream works: a server that accepts and closes at once is backed off from.
        state.failures = 0;
        last = event;
        yield event;
      }
    }
    state.ended = last !== undefined && options.isLast?.(last) === true;
  } finally {
    connection.abort();
  }
}

/**
 * The body as text. The liveness timer runs only while a read is pending: a consumer that is slow to take events must
 * not make a live connection look dead.
 */
async function* readText(
  response: Response,
  connection: AbortController,
  livenessMs: number,
): AsyncGenerator<string, void, undefined> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  while (true) {
    const timer = setTimeout(() => {
      connection.abort(new ConnectionError("timeout", response.url, `nothing came for ${livenessMs / 1000} s`));
    }, livenessMs);
    const read = await reader.read().finally(() => clearTimeout(timer));
    if (read.done) return;
    yield decoder.decode(read.value, { stream: true });
  }
}
