import { describe, expect, it } from "vitest";
import type { TaskTransitionEvent } from "../../../events/index.ts";
import { type Bar, moveBar, toBar } from "./bars.ts";
import { busyShare, packLanes, placeLanes } from "./lanes.ts";
import { distribute, measurePhases } from "./latency.ts";
import { findBar, planRow, planTicks } from "./pieces.ts";

function bar(task: string, startMs: number, endMs: number | undefined, more: Partial<Bar> = {}): Bar {
  const unknown = { waitedMs: undefined, leaseMs: undefined, runMs: undefined, reason: undefined };
  const mark = endMs === undefined ? "running" : "completed";
  return { task, attempt: 1, workerId: "w1", startMs, endMs, mark, ...unknown, ...more };
}

function transition(more: Partial<TaskTransitionEvent>): TaskTransitionEvent {
  const envelope = { v: 1, seq: 1, jobId: "j", at: new Date(5_000).toISOString() } as const;
  return { ...envelope, type: "task.transition", task: "t", from: "queued", to: "running", attempt: 1, ...more };
}

describe("bars", () => {
  it("are what the API lists, with what was given back unspent apart from what failed", () => {
    const times = { task: "t", attempt: 2, workerId: "w", claimedAt: new Date(1_000).toISOString() };
    expect(toBar({ ...times, waitedMs: 7 })).toMatchObject({ startMs: 1_000, endMs: undefined, mark: "running" });
    const ended = { ...times, totalMs: 500 };
    expect(toBar({ ...ended, state: "failed", warning: true })).toMatchObject({ endMs: 1_500, mark: "failures" });
    expect(toBar({ ...ended, reason: "drained" }).mark).toBe("queued");
    expect(toBar({ ...ended, reason: "worker_lost" }).mark).toBe("failed");
  });

  it("begin and end by events, and what is known exactly stays", () => {
    const begun = moveBar(undefined, transition({ workerId: "w" }));
    expect(begun).toMatchObject({ workerId: "w", startMs: 5_000, mark: "running" });
    const at = new Date(9_000).toISOString();
    const ended = moveBar(begun, transition({ from: "running", to: "failed", at }));
    expect(ended).toMatchObject({ endMs: 9_000, mark: "failed" });
    expect(moveBar(ended, transition({ workerId: "w" }))).toBe(ended);
    expect(
      moveBar(ended, transition({ from: "running", to: "failed", at: new Date(99_000).toISOString() })),
    ).toBeUndefined();
    expect(moveBar(undefined, transition({ from: "queued", to: "aborted" }))).toBeUndefined();
  });
});

describe("lanes", () => {
  it("stack what ran at once, and use a row again once it is free", () => {
    const bars = [bar("c", 200, 300), bar("a", 0, 100), bar("b", 50, 150), bar("d", 10, undefined, { workerId: "w2" })];
    const lanes = packLanes(bars, 400);
    expect(lanes.map(({ workerId, rows }) => [workerId, rows.map((row) => row.map(({ task }) => task))])).toEqual([
      ["w1", [["a", "c"], ["b"]]],
      ["w2", [["d"]]],
    ]);
    expect(lanes.map(({ attempts, busyMs, spanMs }) => [attempts, busyMs, spanMs])).toEqual([
      [3, 300, 300],
      [1, 390, 390],
    ]);
    expect(lanes.map(busyShare)).toEqual([0.5, 1]);
  });

  it("have rows as high as fits, and stay readable beyond", () => {
    const lane = (rows: number) =>
      packLanes(
        Array.from({ length: rows }, (_, index) => bar(`t${index}`, 0, 10)),
        10,
      )[0] ?? expect.fail();
    expect(placeLanes([lane(4)], 400)).toMatchObject({ rowHeight: 16, height: 72 });
    expect(placeLanes([lane(40)], 400)).toMatchObject({ rowHeight: 9, height: 368 });
    const many = placeLanes(
      Array.from({ length: 50 }, () => lane(16)),
      400,
    );
    expect(many).toMatchObject({ rowHeight: 4, height: 50 * 72 });
    expect(many.rows).toHaveLength(800);
  });
});

describe("the pieces of a row", () => {
  const scale = { fromMs: 0, msPerPx: 10, width: 100 };

  it("are the phases of each attempt, as far as they are in view and known", () => {
    const whole = bar("a", 200, 600, { waitedMs: 100, leaseMs: 100, runMs: 200 });
    const pieces = planRow([whole, bar("b", 700, undefined)], scale, 5_000);
    expect(pieces.map(({ phase, x, width, open }) => [phase, x, width, open])).toEqual([
      ["queue", 10, 10, undefined],
      ["lease", 20, 10, undefined],
      ["run", 30, 20, undefined],
      ["upload", 50, 10, undefined],
      ["run", 70, 30, true],
    ]);
  });

  it("show a wait only as far as nothing else was there", () => {
    const pieces = planRow([bar("a", 0, 500), bar("b", 600, 900, { waitedMs: 600 })], scale, 1_000);
    expect(pieces.filter(({ phase }) => phase === "queue")).toMatchObject([{ x: 50, width: 10 }]);
  });

  it("are few however many attempts there are, and hide no failure", () => {
    const bars = Array.from({ length: 10_000 }, (_, index) =>
      bar(`t${index}`, index / 10, index / 10 + 0.05, index === 5_005 ? { mark: "failed" } : {}),
    );
    const pieces = planRow(bars, scale, 1_000);
    expect(pieces.length).toBeLessThanOrEqual(100);
    expect(pieces.filter(({ mark }) => mark === "failed")).toMatchObject([{ phase: "dense", x: 50 }]);
    expect(pieces.every(({ share }) => share > 0.3 && share <= 1)).toBe(true);
    expect(planRow(bars, { fromMs: 2_000, msPerPx: 1, width: 100 }, 3_000)).toEqual([]);
  });

  it("are found by their place, the nearest within reach", () => {
    const bars = [bar("a", 0, 100), bar("b", 110, 112), bar("c", 300, undefined)];
    expect(findBar(bars, 50, 5, 400)?.task).toBe("a");
    expect(findBar(bars, 107, 5, 400)?.task).toBe("b");
    expect(findBar(bars, 200, 5, 400)).toBeUndefined();
    expect(findBar(bars, 390, 5, 400)?.task).toBe("c");
    expect(findBar(bars, 450, 5, 400)).toBeUndefined();
  });

  it("stand on an axis of round times since the beginning", () => {
    expect(planTicks({ fromMs: 900, msPerPx: 100, width: 300 }, 1_000, 80)).toEqual([1_000, 11_000, 21_000]);
    expect(planTicks({ fromMs: 0, msPerPx: 0.1, width: 1_000 }, 0, 300)).toEqual([0, 50, 100]);
  });
});

describe("the distribution of phases", () => {
  it("has percentiles and buckets of what is known", () => {
    const known = bar("a", 1_000, 2_000, { waitedMs: 50, leaseMs: 200, runMs: 700 });
    const running = bar("b", 1_000, undefined, { waitedMs: 4_000 });
    const { queue, lease, run, upload } = measurePhases([known, running]);
    expect(queue).toEqual({ count: 2, p50: 50, p95: 4_000, max: 4_000, buckets: [1, 0, 0, 0, 1, 0, 0, 0, 0, 0] });
    expect([lease?.max, run?.max, upload?.max]).toEqual([200, 700, 100]);
    expect(distribute([])).toBeUndefined();
    expect(distribute(Array.from({ length: 100 }, (_, index) => index + 1))).toMatchObject({
      p50: 50,
      p95: 95,
      max: 100,
    });
  });
});
