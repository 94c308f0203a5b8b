import { describe, expect, it } from "vitest";
import { timing } from "../shared/domain/timing.ts";
import { planDrain } from "./drain.ts";

describe("planDrain", () => {
  it("leaves time to finish, the whole grace period, and time to report, in this order", () => {
    expect(planDrain(25_000, 10_000)).toEqual({
      finishByMs: 10_000,
      killGraceMs: 10_000,
      keepByMs: 22_500,
      reportByMs: 24_000,
      endByMs: 25_000,
    });
  });

  it("fits any drain into its time", () => {
    for (const drainMs of [100, 1_000, 5_000, timing.drainMs, 110_000]) {
      const plan = planDrain(drainMs, timing.killGraceMs);
      expect(plan.finishByMs).toBeGreaterThan(0);
      expect(plan.finishByMs + plan.killGraceMs).toBeLessThan(plan.keepByMs);
      expect(plan.keepByMs).toBeLessThan(plan.reportByMs);
      expect(plan.reportByMs).toBeLessThan(plan.endByMs);
    }
  });
});
