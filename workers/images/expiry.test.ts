import { describe, expect, it } from "vitest";
import { type CacheLimits, listExpired } from "./expiry.ts";

const nowMs = 1_000_000;
const limits: CacheLimits = { maxBytes: 100, maxAgeMs: 1_000, minIdleMs: 10 };

/** An item of 40 bytes that was last used so long ago. */
const item = (what: string, idleMs: number, more: { isHeld?: boolean; bytes?: number } = {}) => ({
  what,
  bytes: 40,
  lastUsedMs: nowMs - idleMs,
  isHeld: false,
  ...more,
});

const namesOf = (items: ReturnType<typeof item>[], more: Partial<CacheLimits> = {}) =>
  listExpired(items, { ...limits, ...more }, nowMs).map(({ what }) => what);

describe("what expires", () => {
  it("is whatever is too old, though there is room", () => {
    expect(namesOf([item("old", 1_001), item("young", 999)])).toEqual(["old"]);
  });

  it("is what was not used for longest, until the rest is small enough", () => {
    expect(namesOf([item("b", 200), item("c", 100), item("a", 300), item("d", 50)])).toEqual(["a", "b"]);
    expect(namesOf([item("a", 300), item("b", 200)])).toEqual([]);
  });

  it("is nothing that a task holds or somebody has just used, which counts all the same", () => {
    const items = [item("held", 5_000, { isHeld: true }), item("fresh", 9), item("idle", 500), item("later", 20)];
    expect(namesOf(items)).toEqual(["idle", "later"]);
    expect(namesOf([item("held", 5_000, { isHeld: true, bytes: 500 }), item("fresh", 9)], { maxBytes: 0 })).toEqual([]);
  });

  it("is nothing from the future: a clock was set back", () => {
    expect(namesOf([item("ahead", -50_000)], { maxBytes: 0 })).toEqual([]);
  });
});
