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
  return c.body(ReadableStream.from(runPolls(log, poll, timing)), 200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
}

/**
 * The text of a stream of server-sent events: what `poll` finds until it says that there is no more, the reader goes,
 * or the time is up. The last message is an `end` event, so that a client can tell an end from a cut; a fault is a cut.
 */
export async function* runPolls(
  log: Logger,
  poll: () => Promise<SsePoll>,
  timing: SseTiming,
): AsyncGenerator<Uint8Array> {
  const startedAtMs = timing.now();
  const { pollMs = defaultPollMs } = timing;
  let lastWriteMs = startedAtMs;
  try {
    while (timing.now() - startedAtMs < timing.budgetMs) {
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
