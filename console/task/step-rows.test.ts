import { describe, expect, it } from "vitest";
import type { Attempt } from "../../shared/api/schemas.ts";
import type { ServiceSpec, StepSpec } from "../../shared/jobfile/job-spec.ts";
import { listPhases, spanOf } from "./step-rows.ts";

const at = (second: number) => new Date(1_000_000 + second * 1000).toISOString();
const step = (name: string): StepSpec => ({ kind: "process", name, entry: { run: "x" }, env: {} });
const service: ServiceSpec = { image: "redis", env: {}, tmpfs: [] };
const spec = { steps: [step("make"), step("test"), step("publish")], services: { db: service } };
const claimed: Attempt = { attempt: 1, workerId: "w", claimedAt: at(0), waitedMs: 60_000 };

describe("the parts of an attempt", () => {
  it("are what it waited, prepared, ran and stored, with the logs and how each step ended", () => {
    const rows = listPhases(spec, {
      ...claimed,
      endedAt: at(11),
      steps: [
        { index: 1, name: "make", startedAt: at(1), endedAt: at(4), exitCode: 0 },
        { index: 2, name: "test", startedAt: at(4), endedAt: at(10), exitCode: 137, outOfMemory: true },
        { index: 3, name: "publish" },
      ],
      logs: [
        { step: 1, name: "make", chunks: 1, lines: 3, bytes: 30 },
        { service: "db", name: "db", chunks: 1, lines: 1, bytes: 10 },
      ],
    });
    const told = rows.map(({ key, fromMs = 0, toMs = 0, result, log }) => [key, toMs - fromMs, result, log?.line]);
    expect(told).toEqual([
      ["queued", 60_000, undefined, undefined],
      ["preparing", 1_000, undefined, undefined],
      ["service-db", 0, "beside the steps", "service.db:1"],
      ["step-1", 3_000, "exit 0", "1:1"],
      ["step-2", 6_000, "out of memory, exit 137", undefined],
      ["step-3", 0, "did not start", undefined],
      ["storing", 1_000, undefined, undefined],
    ]);
    expect(rows.find(({ key }) => key === "step-2")?.isBad).toBe(true);
  });

  it("of one that runs are not told yet, but that it runs is", () => {
    const rows = listPhases(spec, claimed);
    expect(rows.map(({ key }) => key)).toEqual(["queued", "running", "service-db", "step-1", "step-2", "step-3"]);
    expect(rows.find(({ key }) => key === "running")?.toMs).toBeUndefined();
    const reached = listPhases(spec, claimed, 2).filter(({ kind }) => kind === "step");
    expect(reached.map(({ result }) => result)).toEqual(["has ended", "running", undefined]);
  });

  it("stay within the attempt though the worker's clock is behind", () => {
    const steps = [{ index: 1, name: "make", startedAt: at(-50), endedAt: at(-45), exitCode: 0 }];
    const preparing = listPhases(spec, { ...claimed, endedAt: at(6), steps }).find(({ kind }) => kind === "preparing");
    expect(preparing).toMatchObject({ fromMs: Date.parse(at(0)), toMs: Date.parse(at(0)) });
  });

  it("are drawn on a scale that a long wait does not fill", () => {
    const rows = listPhases(spec, claimed);
    const { fromMs, toMs } = spanOf(rows, Date.parse(at(8)));
    expect([Date.parse(at(0)) - fromMs, toMs - Date.parse(at(0))]).toEqual([2_000, 8_000]);
  });
});
