import { describe, expect, it } from "vitest";
import { createJobGate } from "./admission.ts";

/** A gate before jobs whose number the test sets. */
function createGate(limit: number) {
  const state = { active: 0, counts: 0, nowMs: 0 };
  const jobs = {
    countActive: async (_pool: string, most: number) => {
      state.counts += 1;
      return Math.min(most, state.active);
    },
  };
  return { state, gate: createJobGate(jobs, limit, () => state.nowMs) };
}

describe("the gate of a pool", () => {
  it("lets in as many jobs as the limit says, and again once some have ended", async () => {
    const { state, gate } = createGate(4);
    for (let job = 0; job < 4; job++) {
      expect(await gate.admit("default")).toBeUndefined();
      state.active += 1;
    }
    const refusal = await gate.admit("default");
    expect(refusal).toMatchObject({ code: "too_many_jobs", details: { retryAfterSeconds: 10 } });
    expect(refusal?.message).toContain("pool default has 4 jobs that have not ended");
    state.active -= 1;
    expect(await gate.admit("default")).toBeUndefined();
  });

  it("counts once in a while only, far from the limit, and each time near it", async () => {
    const { state, gate } = createGate(1000);
    for (let job = 0; job < 10; job++) await gate.admit("default");
    expect(state.counts).toBe(1);
    state.nowMs += 5_000;
    await gate.admit("default");
    expect(state.counts).toBe(2);
    state.nowMs += 5_000;
    state.active = 600;
    for (let job = 0; job < 3; job++) await gate.admit("default");
    expect(state.counts).toBe(5);
  });

  it("does not let in more on the strength of an old count than fit", async () => {
    const { state, gate } = createGate(10);
    for (let job = 0; job < 30; job++) if (!(await gate.admit("default"))) state.active += 1;
    expect(state.active).toBe(10);
  });

  it("is one for each pool", async () => {
    const { gate } = createGate(1);
    expect(await gate.admit("default")).toBeUndefined();
    expect(await gate.admit("large")).toBeUndefined();
  });
});
