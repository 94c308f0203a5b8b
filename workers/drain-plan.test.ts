import { describe, expect, it } from "vitest";
import { timing } from "../shared/domain/timing.ts";
import { fitIntoNotice, longestDrainMs, planDrain } from "./drain-plan.ts";

describe("planDrain", () => {
  it("leaves time to finish, the whole grace period, and time to report, in this order", () => {
    expect(planDrain({ drainMs: 25_000, finishMs: 25_000, killGraceMs: 10_000 })).toEqual({
      finishByMs: 10_000,
      killByMs: 20_000,
      keepByMs: 22_500,
      commitByMs: 23_250,
      reportByMs: 24_000,
      settleByMs: 24_500,
      endByMs: 25_000,
    });
  });

  it("gives tasks no longer to finish than is wanted, and what is left to the uploads", () => {
    const plan = planDrain({ drainMs: 25_000, finishMs: 0, killGraceMs: 10_000 });
    expect(plan).toMatchObject({ finishByMs: 0, killByMs: 10_000, keepByMs: 22_500, endByMs: 25_000 });
  });

  it("keeps the order of its moments in any time", () => {
    for (const drainMs of [100, 1_000, 5_000, timing.drainMs, 110_000]) {
      const moments = Object.values(planDrain({ drainMs, finishMs: drainMs, killGraceMs: timing.killGraceMs }));
      expect(moments.toSorted((one, other) => one - other)).toEqual(moments);
      expect(new Set(moments).size).toBe(moments.length);
      expect(moments[0]).toBeGreaterThan(0);
    }
  });
});

describe("the time of a drain", () => {
  it("fits into whatever would cut it short, with room for the exit", () => {
    expect(longestDrainMs({ visibilityTimeoutMs: 30_000, stopTimeoutMs: 90_000 })).toBe(30_000);
    expect(longestDrainMs({ visibilityTimeoutMs: 30_000, stopTimeoutMs: 10_000 })).toBe(9_000);
    expect(longestDrainMs({ visibilityTimeoutMs: 600_000, stopTimeoutMs: Infinity })).toBe(119_000);
  });

  it("is cut short by a machine that goes sooner, and is not made longer by one that goes later", () => {
    expect(fitIntoNotice(25_000, 12_000, 1_000)).toBe(10_000);
    expect(fitIntoNotice(25_000, 121_000, 1_000)).toBe(25_000);
    expect(fitIntoNotice(25_000, 0, 1_000)).toBe(500);
  });
});
