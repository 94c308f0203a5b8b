import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "hono";
import type { Logger } from "../../shared/log.ts";
import type { Deps } from "../deps.ts";
import type { ApiEnv } from "./auth.ts";

const defaultPollMs = 250;
const keepAliveMs = 15_000;

export interface SseMessage {
  id: string;
  event: string;
  data: string;
}

/** What one look at the source brought: messages, and whether there will be no more. */
export interface SsePoll {
  messages: SseMessage[];
  ended: boolean;
  /** These messages are all there is for now: the next look can wait. */
  settled?: boolean;
}

/** Time as a stream sees it, in milliseconds. */
export interface SseTiming {
  /** A stream is ended before the platform ends it; the client resumes with `Last-Event-ID`. */
  budgetMs: number;
  now(): number;
  pause(ms: number): Promise<unknown>;
  /** Between a look that brought nothing and the next; 250 where nothing is said. */
  pollMs?: number;
  /** Aborted once nobody reads any more. */
  gone?: AbortSignal;
}

/** Answers with the stream of what `poll` finds, see `runPolls`. Its client's going away ends it. */
export function streamPolls(
  c: Context<ApiEnv>,
  { log, limits }: Pick<Deps, "log" | "limits">,
  poll: () => Promise<SsePoll>,
  pollMs = defaultPollMs,
): Response {
  const timing: SseTiming = {
    pollMs,
    budgetMs: limits.followSeconds * 1000,
    now: () => performance.now(),
    pause: (ms) => sleep(ms),
  };
  return c.body(
    streamUntilGone((gone) => runPolls(log, poll, { ...timing, gone })),
    200,
    {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  );
}

/**
 * A body that is made as it is read. A generator hears that its reader is gone only where it has something to hand out,
 * and one that waits for news may have nothing for long: a signal tells it in between.
 */
export function streamUntilGone(
  make: (gone: AbortSignal) => AsyncGenerator<Uint8Array, void>,
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const parts = make(gone.signal);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await parts.next();
        if (gone.signal.aborted) return;
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        gone.abort();
        await parts.return();
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * The text of a stream of server-sent events: what `poll` finds until it says that there is no more, the reader goes,
 * or the time is up. The last message is an `end` event, so that a client can tell an end from a cut; a fault is a cut.
 */
export async function* runPolls(
  log: Logger,
  poll: () => Promise<SsePoll>,
  timing: SseTiming,
): AsyncGenerator<Uint8Array, void> {
  const startedAtMs = timing.now();
  const { pollMs = defaultPollMs, gone } = timing;
  let lastWriteMs = startedAtMs;
  try {
    while (!gone?.aborted && timing.now() - startedAtMs < timing.budgetMs) {
      const { messages, ended, settled = false } = await poll();
      if (messages.length > 0) yield encode(messages.map(formatMessage).join(""));
      if (ended) {
        yield encode("event: end\ndata: {}\n\n");
        return;
      }
      if (messages.length > 0) {
        lastWriteMs = timing.now();
        if (!settled) continue;
      } else if (timing.now() - lastWriteMs > keepAliveMs) {
        yield encode(": still here\n\n");
        lastWriteMs = timing.now();
      }
      await timing.pause(pollMs);
    }
  } catch (error) {
    log.error({ err: error }, "a stream of events was cut; its client resumes");
  }
}

/** JSON holds no line break, so one line of data is enough. */
function formatMessage({ id, event, data }: SseMessage): string {
  return `event: ${event}\ndata: ${data}\nid: ${id}\n\n`;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Whether the client asked for a stream of events. */
export function wantsEventStream(c: Context<ApiEnv>): boolean {
  return (c.req.header("accept") ?? "").includes("text/event-stream");
}
