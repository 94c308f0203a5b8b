import { describe, expect, it } from "vitest";
import { changePool, derivePoolState, type PoolChange, type PoolCounts, recentLossMs } from "./pool-state.ts";

const nowMs = Date.UTC(2026, 0, 5);
const none: PoolCounts = { live: 0, losses: [] };
const started = (workerId: string): PoolChange => ({ kind: "started", workerId });
const ended = (workerId: string, kind: "clean" | "abandoned" | "lost"): PoolChange => ({
  kind,
  workerId,
  wasLive: true,
});
const play = (changes: readonly PoolChange[], from = none) =>
  changes.reduce((counts, change) => changePool(counts, change, nowMs).counts, from);
const stateOf = (counts: PoolCounts, afterMs = 0, desired?: number) =>
  derivePoolState({ ...counts, lastSeenMs: 1, ...(desired === undefined ? {} : { desired }) }, nowMs + afterMs);

describe("the state of a pool", () => {
  it("is unknown where no worker was ever heard of", () => {
    expect(derivePoolState({ ...none, lastSeenMs: 0, desired: 3 }, nowMs)).toBe("unknown");
  });

  it.each([
    ["alive", [started("a")]],
    ["scaled_down", [started("a"), ended("a", "clean")]],
    ["crashed", [started("a"), ended("a", "lost")]],
    ["crashed", [started("a"), ended("a", "abandoned")]],
    ["crashed", [started("a"), started("b"), ended("a", "lost"), ended("b", "clean")]],
    ["crashed", [started("a"), started("b"), ended("a", "clean"), ended("b", "lost")]],
    ["degraded", [started("a"), started("b"), ended("a", "lost")]],
    ["degraded", [started("a"), started("b"), ended("a", "lost"), started("c")]],
    ["scaled_down", [started("a"), ended("a", "lost"), started("b"), ended("b", "clean")]],
    ["alive", [started("a"), ended("a", "lost"), { kind: "returned", workerId: "a" }]],
    ["scaled_down", [started("a"), ended("a", "lost"), { ...ended("a", "clean"), wasLive: false }]],
  ] as [string, PoolChange[]][])("is %s after %j", (state, changes) => {
    expect(stateOf(play(changes))).toBe(state);
  });

  it("is degraded for ten minutes after a loss, and as long as there are fewer than desired", () => {
    const counts = play([started("a"), started("b"), ended("a", "lost")]);
    expect(stateOf(counts, recentLossMs - 1)).toBe("degraded");
    expect(stateOf(counts, recentLossMs)).toBe("alive");
    expect(stateOf(counts, recentLossMs, 2)).toBe("degraded");
    expect(stateOf(counts, recentLossMs, 1)).toBe("alive");
  });

  it("needs one start for each loss while others live, one for all where none is left", () => {
    const two = [started("a"), started("b"), started("c"), ended("a", "lost"), ended("b", "lost")];
    expect(play([...two, started("d")]).losses.filter(({ replaced }) => !replaced)).toMatchObject([{ workerId: "b" }]);
    expect(play([...two, ended("c", "clean"), started("d")]).losses.every(({ replaced }) => replaced)).toBe(true);
  });
});

describe("a change of the number of workers", () => {
  it("tells what it recovers from", () => {
    const scaleAfter = (changes: PoolChange[], change: PoolChange) => changePool(play(changes), change, nowMs).scale;
    const crash = [started("a"), ended("a", "lost")];
    expect(scaleAfter([], started("a"))).toEqual({ type: "scale_up", from: 0, to: 1, kind: "started" });
    expect(scaleAfter(crash, started("b"))).toMatchObject({ recoveredFrom: "crashed" });
    expect(scaleAfter(crash, { kind: "returned", workerId: "a" })).toMatchObject({ recoveredFrom: "crashed" });
    expect(scaleAfter([started("b"), ...crash], started("c"))).toMatchObject({ from: 1, recoveredFrom: "degraded" });
    expect(scaleAfter([started("a")], ended("a", "clean"))).toEqual({
      type: "scale_down",
      from: 1,
      to: 0,
      kind: "clean",
    });
  });

  it("is none where the worker was not counted, and never leads below none", () => {
    const lost: PoolChange = { kind: "lost", workerId: "a", wasLive: false };
    expect(changePool(none, lost, nowMs)).toMatchObject({ counts: { live: 0, losses: [{ workerId: "a" }] } });
    expect(changePool(none, lost, nowMs).scale).toBeUndefined();
    expect(changePool(none, ended("a", "clean"), nowMs).counts.live).toBe(0);
  });

  it("keeps a bounded number of losses", () => {
    const many = Array.from({ length: 80 }, (_, index) => ended(`w${index}`, "lost"));
    expect(play(many, { live: 80, losses: [] }).losses).toHaveLength(50);
  });
});
