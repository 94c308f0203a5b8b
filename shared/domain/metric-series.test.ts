import { describe, expect, it } from "vitest";
import { FootprintCounter, formatSamples, type MetricSample, parseSamples } from "./metric-sample.ts";
import { buildSeries, formatSource, listSources, parseSource } from "./metric-series.ts";

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
const pointsOf = (source: Parameters<typeof buildSeries>[1]) =>
  Object.fromEntries(buildSeries(samples, source, 100).map(({ metric, points }) => [metric, points]));

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
    expect(listSources(samples)).toEqual(["task", "host", "step-1", "service-db"]);
    expect(pointsOf({ service: "db" })).toMatchObject({ cpu: [[1_000, 30]], memory_limit: [[1_000, 80]] });
    expect(pointsOf({ step: 1 }).cpu).toHaveLength(2);
    expect(pointsOf("host")).toMatchObject({ cpu: [[1_000, 40]], disk_total: [[1_000, 4]] });
    expect(pointsOf({ step: 2 })).toEqual({});
    expect(listSources([])).toEqual([]);
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
