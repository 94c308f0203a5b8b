import { describe, expect, it } from "vitest";
import { FootprintCounter, formatSamples, type MetricSample, parseSamples } from "./metric-sample.ts";
import { formatSource, type MetricSource, parseSource, SeriesCollector } from "./metric-series.ts";

const host = { cpu: 40, memory: 5, memoryTotal: 10, diskFree: 3, diskTotal: 4 };
const samples: MetricSample[] = [
  {
    at: 1_000,
    units: [
      { step: 1, ms: 1_000, cpu: 50, memory: 10, memoryLimit: 40, writtenBytes: 100, pids: 2 },
      { service: "db", ms: 500, cpu: 30, memory: 20, memoryLimit: 25, throttled: 5, pids: 1 },
    ],
    host,
  },
  { at: 6_000, units: [{ step: 1, ms: 5_000, cpu: 100, memory: 15, writtenBytes: 500, pids: 2 }] },
  { at: 7_000, units: [{ step: 1, ms: 0, cpu: 0, memory: 15, oomKills: 1 }] },
];
function collect(source: MetricSource, of: readonly MetricSample[] = samples, mostPoints?: number): SeriesCollector {
  const collector = new SeriesCollector(source, mostPoints);
  for (const sample of of) collector.add(sample);
  return collector;
}

const pointsOf = (source: MetricSource) =>
  Object.fromEntries(
    collect(source)
      .series(100)
      .map(({ metric, points }) => [metric, points]),
  );

describe("the series of samples", () => {
  it("of the task are those of its steps and services together: sums, rates, and who is nearest to its limit", () => {
    expect(pointsOf("task")).toEqual({
      cpu: [
        [1_000, 80],
        [6_000, 100],
      ],
      throttled: [[1_000, 5]],
      memory: [
        [1_000, 30],
        [6_000, 15],
      ],
      memory_limit: [[1_000, 80]],
      written: [
        [1_000, 100],
        [6_000, 100],
      ],
      pids: [
        [1_000, 3],
        [6_000, 2],
      ],
      oom_kills: [
        [1_000, 0],
        [6_000, 0],
        [7_000, 1],
      ],
    });
  });

  it("are there for each step and service, and for the machine", () => {
    expect(collect("task").sources).toEqual(["task", "host", "step-1", "service-db"]);
    expect(pointsOf({ service: "db" })).toMatchObject({ cpu: [[1_000, 30]], memory_limit: [[1_000, 80]] });
    expect(pointsOf({ step: 1 }).cpu).toHaveLength(2);
    expect(pointsOf("host")).toMatchObject({ cpu: [[1_000, 40]], disk_total: [[1_000, 4]] });
    expect(pointsOf({ step: 2 })).toEqual({});
    expect(collect("task", [])).toMatchObject({ samples: 0, sources: [] });
  });

  it("of an attempt of weeks keep their extremes and ends, in the order of time, in the room of a day", () => {
    const spikes = [7_000, 33_333];
    const long = Array.from({ length: 40_000 }, (_, place): MetricSample => {
      // Twice in it the worker's clock is set back.
      const at = (place - (place > 10_000 ? 3 : 0) - (place > 30_000 ? 3 : 0)) * 5_000;
      return { at, units: [{ step: 1, ms: 5_000, cpu: spikes.includes(place) ? 400 : place % 7, memory: 100 }] };
    });
    const collector = collect("task", long, 1_000);
    expect(collector.samples).toBe(40_000);
    const [cpu] = collector.series(2_000);
    expect(cpu).toMatchObject({ metric: "cpu", min: 0, max: 400 });
    const kept = cpu?.points ?? [];
    expect(kept.length).toBeLessThanOrEqual(2_000);
    expect(kept.filter(([, value]) => value === 400)).toHaveLength(2);
    expect(kept.map(([at]) => at)).toEqual(kept.map(([at]) => at).toSorted((a, b) => a - b));
    expect([kept[0]?.[0], kept.at(-1)?.[0]]).toEqual([0, long.at(-1)?.at]);
    expect(collector.series(200)[0]?.points.length).toBeLessThanOrEqual(200);
  });

  it("have sources with words that can be read back", () => {
    for (const source of ["task", "host", { step: 12 }, { service: "step-1" }] as const) {
      expect(parseSource(formatSource(source))).toEqual(source);
    }
    expect(["", "tasks", "step-", "step-x", "service-"].map(parseSource)).toEqual(Array(5).fill(undefined));
  });
});

describe("a footprint", () => {
  it("adds up what samples tell, however many there are", () => {
    const counter = new FootprintCounter();
    expect(counter.footprint).toBeUndefined();
    for (const sample of samples) counter.add(sample);
    expect(counter.footprint).toEqual({
      sampledMs: 6_000,
      // 50 % for 1 s, 30 % for half a second, 100 % for 5 s.
      cpuAvg: 94.2,
      cpuMax: 100,
      memoryMax: 30,
      readBytes: 0,
      writtenBytes: 600,
      receivedBytes: 0,
      sentBytes: 0,
      oomKills: 1,
    });
  });

  it("is of samples that a snapshot gives back as they were", () => {
    expect(parseSamples(formatSamples(samples))).toEqual(samples);
  });
});
