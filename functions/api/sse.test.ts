import { describe, expect, it } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { runPolls, type SsePoll, streamUntilGone } from "./sse.ts";

const silent = createLogger("test", { level: "silent" });
const nothing: SsePoll = { messages: [], ended: false };
const message = (id: number) => ({ id: `${id}`, event: "line", data: `{"n":${id}}` });

/** A clock that moves by what is paused. */
function createTiming() {
  let nowMs = 0;
  return {
    budgetMs: 14 * 60_000,
    now: () => nowMs,
    pause: async (ms: number) => {
      nowMs += ms;
    },
  };
}

async function readText(stream: AsyncIterable<Uint8Array>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += new TextDecoder().decode(chunk);
  return text;
}

describe("a stream of polls", () => {
  it("tells what each poll brings, with ids, and says when it ends", async () => {
    const polls = [
      { messages: [message(1), message(2)], ended: false },
      nothing,
      { messages: [message(3)], ended: true },
    ];
    const text = await readText(runPolls(silent, async () => polls.shift() ?? nothing, createTiming()));
    expect(text).toBe(
      `${[1, 2, 3].map((id) => `event: line\ndata: {"n":${id}}\nid: ${id}\n\n`).join("")}event: end\ndata: {}\n\n`,
    );
  });

  it("asks again at once after a poll that brought something, else, or where that is all for now, after a pause", async () => {
    const timing = createTiming();
    const askedAtMs: number[] = [];
    const polls: SsePoll[] = [
      { messages: [message(1)], ended: false },
      { messages: [message(2)], ended: false, settled: true },
      nothing,
      { messages: [], ended: true },
    ];
    await readText(
      runPolls(
        silent,
        async () => {
          askedAtMs.push(timing.now());
          return polls.shift() ?? nothing;
        },
        timing,
      ),
    );
    expect(askedAtMs).toEqual([0, 0, 250, 500]);
  });

  it("shows that it lives while nothing happens, and is cut without an end when its time is up", async () => {
    const timing = createTiming();
    const text = await readText(runPolls(silent, async () => nothing, timing));
    expect(text.split(": still here\n\n").length - 1).toBeGreaterThan(50);
    expect(text.replaceAll(": still here\n\n", "")).toBe("");
    expect(timing.now()).toBeLessThan(15 * 60_000);
  });

  it("is cut without an end by a fault, which is logged", async () => {
    const lines: string[] = [];
    const log = createLogger("test", { destination: { write: (line) => void lines.push(line) } });
    const polls = [async () => ({ messages: [message(1)], ended: false }), () => Promise.reject(new Error("away"))];
    const text = await readText(runPolls(log, () => (polls.shift() ?? (async () => nothing))(), createTiming()));
    expect(text).toBe('event: line\ndata: {"n":1}\nid: 1\n\n');
    expect(lines.join("")).toContain("away");
  });

  it("asks no more once its reader is gone, also where there is nothing to tell", async () => {
    let asked = 0;
    const poll = async () => {
      asked += 1;
      return asked > 2 ? nothing : { messages: [message(asked)], ended: false };
    };
    const pauses: (() => void)[] = [];
    const pause = () => new Promise<void>((resolve) => void pauses.push(resolve));
    const body = streamUntilGone((gone) => runPolls(silent, poll, { ...createTiming(), pause, gone }));
    const reader = body.getReader();
    await reader.read();
    await reader.read();
    expect(asked).toBe(2);
    const waiting = reader.read();
    await expect.poll(() => pauses.length).toBe(1);
    const cancelled = reader.cancel();
    for (const resume of pauses) resume();
    await cancelled;
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect([asked, pauses.length]).toEqual([3, 1]);
  });
});
