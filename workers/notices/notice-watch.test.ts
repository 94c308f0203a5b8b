import { describe, expect, it, onTestFinished } from "vitest";
import { createLogger } from "../../shared/log.ts";
import type { NoticeReading, NoticeSource } from "./notice.ts";
import { NoticeWatch } from "./notice-watch.ts";

const retire: NoticeReading = { kind: "told", notices: [{ kind: "retire", detail: "told so" }] };
const ends: NoticeReading = { kind: "told", notices: [{ kind: "ends", detail: "gone", atMs: 7 }] };
const nothing: NoticeReading = { kind: "told", notices: [] };
const silent: NoticeReading = { kind: "silent", why: "no answer" };

/** A watch on a source that says what a test lets it, and on these, and what the worker heard of it. */
function startWatch(first: NoticeReading, more: readonly NoticeSource[] = []) {
  const world = { says: first, isIdle: false, reads: 0, nowMs: 0, heard: [] as string[], lines: [] as string[] };
  const log = createLogger("test", { destination: { write: (line: string) => void world.lines.push(line) } });
  const watch = new NoticeWatch({
    sources: [
      {
        name: "a source",
        read: async () => {
          world.reads++;
          return world.says;
        },
      },
      ...more,
    ],
    config: { endpoint: undefined, file: undefined, pollMs: 1, rebalance: "finish", eventLeadMs: 0 },
    nowMs: () => world.nowMs,
    log,
    isIdle: () => world.isIdle,
    onFinish: () => world.heard.push("finish"),
    onGoOn: () => world.heard.push("go on"),
    onDrain: (cause) => world.heard.push(cause.kind === "interrupted" ? `drain: ${cause.detail}` : cause.kind),
  });
  watch.start();
  onTestFinished(() => watch.stop());
  const untilReadMore = async () => {
    const before = world.reads;
    await expect.poll(() => world.reads > before + 2).toBe(true);
  };
  return { world, untilReadMore, watch };
}

describe("NoticeWatch", () => {
  it("has the worker finish what it has, and drains it when it is idle", async () => {
    const { world, untilReadMore } = startWatch(retire);
    await untilReadMore();
    expect(world.heard).toEqual(["finish"]);
    world.isIdle = true;
    await expect.poll(() => world.heard[1]).toBe("drain: told so");
  });

  it("lets the worker go on when the notice is taken back, but not when its source falls silent", async () => {
    const { world, untilReadMore } = startWatch(retire);
    await untilReadMore();
    world.says = silent;
    await untilReadMore();
    expect(world.heard).toEqual(["finish"]);
    world.says = nothing;
    await expect.poll(() => world.heard).toEqual(["finish", "go on"]);
  });

  it("drains at once where the machine is taken, and until it is told to stop", async () => {
    const { world, untilReadMore, watch } = startWatch(nothing);
    await untilReadMore();
    expect(world.heard).toEqual([]);
    world.says = ends;
    await expect.poll(() => world.heard.slice(0, 2)).toEqual(["drain: gone", "drain: gone"]);
    watch.stop();
    const { reads } = world;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(world.reads).toBe(reads);
  });

  it("hears of a machine that is taken though another source hangs", async () => {
    const { world } = startWatch(ends, [{ name: "a disk", read: () => new Promise(() => undefined) }]);
    await expect.poll(() => world.heard[0]).toBe("drain: gone");
  });

  it("says once an hour that a source is silent, however often it answers in between", async () => {
    const { world, untilReadMore } = startWatch(silent);
    await untilReadMore();
    world.says = nothing;
    await untilReadMore();
    world.says = silent;
    await untilReadMore();
    expect(world.lines).toHaveLength(1);
    world.nowMs = 3_600_001;
    await untilReadMore();
    expect(world.lines).toHaveLength(2);
    expect(world.heard).toEqual([]);
  });
});
