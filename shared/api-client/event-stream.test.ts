import { describe, expect, it, onTestFinished, vi } from "vitest";
import { ApiError, ConnectionError } from "./errors.ts";
import { readEventStream, type ServerSentEvent, type StreamOptions, type StreamStatus } from "./event-stream.ts";

const patience = { livenessMs: 10_000, giveUpAfterMs: 10_000, backoff: { firstMs: 1, longestMs: 1 } };

/** What a connection does: sends these chunks, then closes, breaks off, or stays silent. */
interface Connection {
  chunks: string[];
  after: "close" | "break" | "silence";
}

function message(id: number, event = "tick"): string {
  return `id: ${id}\nevent: ${event}\ndata: ${id}\n\n`;
}

const end = "event: end\ndata: {}\n\n";

/** Opens the connections of a script in turn; what each was resumed from is kept. */
function scriptStream(script: (Connection | Error)[], options: Partial<StreamOptions> = {}) {
  const resumed: (string | undefined)[] = [];
  const statuses: StreamStatus["status"][] = [];
  const open: StreamOptions["open"] = async (lastEventId, signal) => {
    resumed.push(lastEventId);
    const next = script.shift() ?? new Error("the script has no further connection");
    if (next instanceof Error) throw next;
    return new Response(streamOf(next, signal));
  };
  const onStatus = ({ status }: StreamStatus): void => {
    statuses.push(status);
  };
  const events = readEventStream({ open, url: "http://control.test", patience, onStatus, ...options });
  return { events, resumed, statuses };
}

function streamOf({ chunks, after }: Connection, signal: AbortSignal): ReadableStream<Uint8Array> {
  const queue = [...chunks];
  return new ReadableStream({
    start: (controller) => signal.addEventListener("abort", () => controller.error(signal.reason)),
    pull: (controller) => {
      const chunk = queue.shift();
      if (chunk !== undefined) controller.enqueue(new TextEncoder().encode(chunk));
      else if (after === "close") controller.close();
      else if (after === "break") controller.error(new TypeError("terminated"));
      else return new Promise(() => undefined);
    },
  });
}

async function dataOf(events: AsyncGenerator<ServerSentEvent>): Promise<string[]> {
  return (await Array.fromAsync(events)).map(({ data }) => data);
}

describe("a stream of events", () => {
  it("yields what comes and ends when the server says so", async () => {
    const { events, statuses } = scriptStream([
      { chunks: [": hi\n\n", message(1), message(2) + end], after: "silence" },
    ]);
    await expect(dataOf(events)).resolves.toEqual(["1", "2"]);
    expect(statuses).toEqual(["connected"]);
  });

  it("puts events together that arrive in pieces, within a character too", async () => {
    const bytes = new TextEncoder().encode("id: 1\ndata: ▶ läuft\n\n");
    const open = async (): Promise<Response> =>
      new Response(
        new ReadableStream({
          start: (controller) => {
            for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
            controller.enqueue(new TextEncoder().encode(end));
          },
        }),
      );
    await expect(dataOf(readEventStream({ open, url: "http://x", patience }))).resolves.toEqual(["▶ läuft"]);
  });

  it("resumes after the last event when the connection breaks or closes", async () => {
    const { events, resumed, statuses } = scriptStream([
      { chunks: [message(1), message(2)], after: "break" },
      { chunks: [message(3)], after: "close" },
      { chunks: [end], after: "silence" },
    ]);
    await expect(dataOf(events)).resolves.toEqual(["1", "2", "3"]);
    expect(resumed).toEqual([undefined, "2", "3"]);
    expect(statuses).toEqual(["connected", "lost", "connected", "lost", "connected"]);
  });

  it("tries again while nobody listens", async () => {
    const refused = new ConnectionError("refused", "http://control.test", "refused");
    const { events } = scriptStream([refused, refused, { chunks: [message(1) + end], after: "silence" }]);
    await expect(dataOf(events)).resolves.toEqual(["1"]);
  });

  it("gives up a connection on which nothing comes any more", async () => {
    const { events, resumed } = scriptStream(
      [
        { chunks: [message(1)], after: "silence" },
        { chunks: [end], after: "silence" },
      ],
      { patience: { ...patience, livenessMs: 20 } },
    );
    await expect(dataOf(events)).resolves.toEqual(["1"]);
    expect(resumed).toEqual([undefined, "1"]);
  });

  it("does not take a slow reader for a dead connection", async () => {
    const { events, resumed } = scriptStream([{ chunks: [message(1), message(2), end], after: "silence" }], {
      patience: { ...patience, livenessMs: 20 },
    });
    const seen: string[] = [];
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    for await (const { data } of events) {
      seen.push(data);
      await vi.advanceTimersByTimeAsync(60_000);
    }
    expect(seen).toEqual(["1", "2"]);
    expect(resumed).toHaveLength(1);
  });

  it("throws at once what the server refuses", async () => {
    const { events, resumed } = scriptStream([new ApiError({ status: 404, code: "not_found", detail: "no job" })]);
    await expect(dataOf(events)).rejects.toMatchObject({ status: 404 });
    expect(resumed).toHaveLength(1);
  });

  it("tries again what the server failed at", async () => {
    const failed = new ApiError({ status: 503, code: "unavailable", detail: "later" });
    const { events } = scriptStream([failed, { chunks: [message(1) + end], after: "silence" }]);
    await expect(dataOf(events)).resolves.toEqual(["1"]);
  });

  it("throws when the server stays away for too long", async () => {
    let nowMs = 0;
    const refused = new ConnectionError("refused", "http://control.test", "refused");
    const { events } = scriptStream(
      Array.from({ length: 10 }, () => refused),
      { now: () => (nowMs += 4_000) },
    );
    await expect(dataOf(events)).rejects.toBe(refused);
  });

  it("takes a close after the last event for the end where the caller says so", async () => {
    const { events, resumed } = scriptStream([{ chunks: [message(1, "job.ended")], after: "close" }], {
      isLast: ({ event }) => event === "job.ended",
    });
    await expect(dataOf(events)).resolves.toEqual(["1"]);
    expect(resumed).toHaveLength(1);
  });

  it("ends with the reason of the caller's signal, also between two tries", async () => {
    const controller = new AbortController();
    const refused = new ConnectionError("refused", "http://control.test", "refused");
    const { events } = scriptStream([refused], {
      signal: controller.signal,
      patience: { ...patience, backoff: { firstMs: 60_000, longestMs: 60_000 } },
      onStatus: () => setImmediate(() => controller.abort(new Error("enough"))),
    });
    await expect(dataOf(events)).rejects.toThrow("enough");
  });

  it("closes its connection when the reader stops early", async () => {
    let closed = false;
    const open: StreamOptions["open"] = async (_id, signal) => {
      signal.addEventListener("abort", () => {
        closed = true;
      });
      return new Response(streamOf({ chunks: [message(1)], after: "silence" }, signal));
    };
    for await (const _event of readEventStream({ open, url: "http://x", patience })) break;
    expect(closed).toBe(true);
  });
});
