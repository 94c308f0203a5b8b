import { describe, expect, it } from "vitest";
import { type ProbeResult, waitUntilHealthy } from "./health.ts";

const limits = { timeoutMs: 5_000, intervalMs: 1_000, retries: 3, startPeriodMs: 0 };
const bad: ProbeResult = { healthy: false, why: "not yet" };

/** Waits on a clock of its own; tells how it ended and when each check was made. */
async function wait(answers: (check: number) => ProbeResult | Promise<ProbeResult>, more: Partial<typeof limits> = {}) {
  const checks: number[] = [];
  let nowMs = 0;
  const why = await waitUntilHealthy({
    health: { ...limits, ...more },
    probe: async () => answers(checks.push(nowMs)),
    signal: new AbortController().signal,
    nowMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms;
    },
  });
  return { why, checks };
}

describe("waitUntilHealthy", () => {
  it("looks often at first, then at the interval, and counts failures from there", async () => {
    expect(await wait(() => bad)).toEqual({ why: "not yet", checks: [0, 100, 300, 700, 1_500, 2_500, 3_500] });
  });

  it("ends with the first check that is good", async () => {
    expect(await wait((check) => (check === 3 ? { healthy: true } : bad))).toEqual({
      why: undefined,
      checks: [0, 100, 300],
    });
  });

  it("does not count failures of the start period", async () => {
    const { why, checks } = await wait(() => bad, { startPeriodMs: 10_000 });
    expect(why).toBe("not yet");
    expect(checks.filter((atMs) => atMs >= 10_000)).toHaveLength(3);
    expect(checks.at(-1)).toBe(12_500);
  });

  it("keeps to an interval that is shorter than its own first one", async () => {
    expect((await wait(() => bad, { intervalMs: 20 })).checks).toEqual([0, 20, 40]);
  });

  it("takes what a check throws, and a check that takes too long, for a failure", async () => {
    expect((await wait(() => Promise.reject(new Error("refused")))).why).toBe("refused");
    const hangs = () => new Promise<ProbeResult>(() => undefined);
    expect((await wait(hangs, { timeoutMs: 1, intervalMs: 1, retries: 1 })).why).toBe("no answer within 1ms");
  });

  it("throws the signal's reason at once, also while a check is under way", async () => {
    const stop = new AbortController();
    const waiting = waitUntilHealthy({
      health: limits,
      probe: () => new Promise(() => undefined),
      signal: stop.signal,
      nowMs: () => 0,
      sleep: () => Promise.resolve(),
    });
    stop.abort(new Error("cancelled"));
    await expect(waiting).rejects.toThrow("cancelled");
  });
});
