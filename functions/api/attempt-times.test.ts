import { describe, expect, it } from "vitest";
import { attemptTimesPageSchema } from "../../shared/api/schemas.ts";
import type { AttemptRecord } from "../../shared/repository/items.ts";
import { timeAttempts } from "./attempt-times.ts";

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 5, 8) + seconds * 1000).toISOString();
const record = (more: Partial<AttemptRecord>): AttemptRecord => ({
  workerId: "w",
  leaseToken: "secret",
  claimedAt: at(10),
  ...more,
});
const step = (index: number, startedAt?: string, endedAt?: string) => ({
  index,
  name: `s${index}`,
  ...(startedAt ? { startedAt } : {}),
  ...(endedAt ? { endedAt } : {}),
});

describe("the times of attempts", () => {
  it("are those of the phases, and hold nothing that is not announced", () => {
    const steps = [step(1, at(12), at(15)), step(2, at(15), at(18)), step(3)];
    const outcome = { state: "failed", exitCode: 1 } as const;
    const attempts = [
      record({
        waitedMs: 4,
        endedAt: at(11),
        outcome: { reason: { code: "drained", detail: "", fault: "infrastructure" } },
      }),
      record({ waitedMs: 7_000, endedAt: at(20), steps, outcome }),
    ];
    const times = timeAttempts({ task: "t", attempts });
    expect(times).toEqual([
      { task: "t", attempt: 1, workerId: "w", claimedAt: at(10), waitedMs: 4, totalMs: 1_000, reason: "drained" },
      {
        task: "t",
        attempt: 2,
        workerId: "w",
        claimedAt: at(10),
        waitedMs: 7_000,
        leaseMs: 2_000,
        runMs: 6_000,
        totalMs: 10_000,
        state: "failed",
      },
    ]);
    expect(attemptTimesPageSchema.parse({ attempts: times })).toEqual({ attempts: times });
  });

  it("stay within the whole when the worker's clock is wrong", () => {
    const fast = timeAttempts({
      task: "t",
      attempts: [record({ endedAt: at(20), steps: [step(1, at(500), at(504))] })],
    });
    expect(fast[0]).toMatchObject({ leaseMs: 6_000, runMs: 4_000, totalMs: 10_000 });
    const slow = timeAttempts({
      task: "t",
      attempts: [record({ endedAt: at(20), steps: [step(1, at(-90), at(-86))] })],
    });
    expect(slow[0]).toMatchObject({ leaseMs: 0, runMs: 4_000, totalMs: 10_000 });
  });

  it("say nothing of what is not known yet", () => {
    expect(timeAttempts({ task: "t", attempts: [record({})] })).toEqual([
      { task: "t", attempt: 1, workerId: "w", claimedAt: at(10) },
    ]);
  });
});
