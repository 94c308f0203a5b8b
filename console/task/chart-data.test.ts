import { describe, expect, it } from "vitest";
import type { TaskMetrics } from "../../shared/api/metric-schemas.ts";
import { buildCharts, type Chart, findMarks, findRange, findTop } from "./chart-data.ts";

const series = (metric: string, ...points: [number, number][]) => ({ metric, unit: "", min: 0, max: 0, points });
const metrics = (source: string, sources: string[], ...all: TaskMetrics["series"]): TaskMetrics => ({
  ...{ job: "j", task: "t", attempt: 1, source, sources, samples: 3, complete: true, series: all },
});

describe("charts of what a task used", () => {
  it("have lines at the same times, and gaps where nothing was sampled", () => {
    const cpu = series("cpu", [0, 5], [5_000, 50], [60_000, 7]);
    const throttled = series("throttled", [5_000, 1]);
    const [chart, ...others] = buildCharts(metrics("task", ["task", "step-1"], cpu, throttled), 200);
    expect(others).toEqual([]);
    expect(chart?.times).toEqual([0, 5, 5.001, 60]);
    expect(chart?.lines.map(({ label, values }) => [label, values])).toEqual([
      ["used", [5, 50, null, 7]],
      ["throttled", [undefined, 1, undefined, undefined]],
    ]);
  });

  it("take points that were thinned for what they are, not for gaps", () => {
    const points = Array.from({ length: 100 }, (_, at): [number, number] => [at * 60_000, 1]);
    const [thinned] = buildCharts(metrics("task", ["task"], series("cpu", ...points)), 100);
    expect(thinned?.lines[0]?.values).not.toContain(null);
  });

  it("show the limit of memory where there is one for all that is shown", () => {
    const memory = [series("memory", [0, 50], [5_000, 100]), series("memory_limit", [0, 25], [5_000, 50])];
    const limitOf = (source: string, ...units: string[]) =>
      buildCharts(metrics(source, ["task", ...units], ...memory), 200)[0]?.lines.find(({ isLimit }) => isLimit)?.values;
    expect(limitOf("step-1", "step-1", "service-db")).toEqual([200, 200]);
    expect(limitOf("task", "step-1", "step-2")).toEqual([200, 200]);
    expect(limitOf("task", "step-1", "service-db")).toBeUndefined();
  });

  it("have an axis for what was used, and for a limit that is near", () => {
    const memory = (used: number, limit: number): Chart => ({
      ...{ key: "memory", title: "", unit: "bytes", times: [0, 1] },
      lines: [
        { label: "used", color: 0, values: [null, used] },
        { label: "limit", color: 1, isLimit: true, values: [limit, undefined] },
      ],
    });
    expect(findTop(memory(300_000, 1_000_000))).toBeCloseTo(1_100_000);
    expect(findTop(memory(100_000, 1_000_000))).toBeCloseTo(110_000);
    expect(findTop(memory(0, 1_000_000))).toBe(10_000);
  });

  it("have none of what nobody could tell", () => {
    expect(buildCharts(metrics("task", []), 200)).toEqual([]);
    expect(buildCharts(metrics("host", ["host"], series("memory_total", [0, 1])), 200)).toEqual([]);
  });

  it("mark steps, and kills where a sample saw them or else where the step ended; one range holds all", () => {
    const at = (second: number) => new Date(second * 1000).toISOString();
    const steps = [
      { index: 1, name: "a", startedAt: at(1), endedAt: at(9), exitCode: 137, outOfMemory: true },
      { index: 2, name: "b" },
    ];
    const unseen = metrics("task", ["task"], series("cpu", [2_000, 1]), series("oom_kills", [2_000, 0]));
    const marks = findMarks(steps, unseen);
    expect(marks).toEqual({ bands: [{ label: "1", from: 1, to: 9 }], kills: [9] });
    expect(findMarks(steps, metrics("task", ["task"], series("oom_kills", [5_000, 2]))).kills).toEqual([5]);
    expect(findRange(buildCharts(unseen, 200), marks)).toEqual([1, 9]);
  });
});
