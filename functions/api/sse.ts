import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "hono";
import { type SSEStreamingApi, streamSSE } from "hono/streaming";
import type { ApiEnv } from "./auth.ts";

/** A stream is ended before the platform ends it; the client resumes with `Last-Event-ID`. */
const streamBudgetMs = 14 * 60_000;
const pollMs = 250;
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
}

/**
 * Streams what `poll` finds until it says that there is no more, the client goes, or the time is up. The last message
 * is an `end` event, so that a client can tell an end from a cut.
 */
export function streamPolls(c: Context<ApiEnv>, poll: () => Promise<SsePoll>): Response {
  c.header("cache-control", "no-store");
  c.header("x-accel-buffering", "no");
  return streamSSE(c, async (stream) => {
    const startedAt = performance.now();
    let lastWriteAt = startedAt;
    while (!stream.aborted && performance.now() - startedAt < streamBudgetMs) {
      const { messages, ended } = await poll();
      for (const message of messages) await stream.writeSSE(message);
      if (messages.length > 0) lastWriteAt = performance.now();
      if (ended) return endStream(stream);
      if (messages.length > 0) continue;
      if (performance.now() - lastWriteAt > keepAliveMs) {
        await stream.write(": still here\n\n");
        lastWriteAt = performance.now();
      }
      await sleep(pollMs);
    }
  });
}

async function endStream(stream: SSEStreamingApi): Promise<void> {
  await stream.writeSSE({ event: "end", data: "{}" });
}

/** Whether the client asked for a stream of events. */
export function wantsEventStream(c: Context<ApiEnv>): boolean {
  return (c.req.header("accept") ?? "").includes("text/event-stream");
}
