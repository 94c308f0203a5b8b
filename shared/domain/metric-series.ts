import { downsample, type Point } from "./downsample.ts";
import { type MetricSample, sumUnits, type UnitSample } from "./metric-sample.ts";

/** What a series is of, with its unit. */
export const metricUnits = {
  cpu: "percent of one core",
  throttled: "percent of periods",
  memory: "bytes",
  memory_limit: "percent of the limit",
  read: "bytes per second",
  written: "bytes per second",
  received: "bytes per second",
  sent: "bytes per second",
  pids: "processes and threads",
  oom_kills: "kills",
} as const;
/** The same of the machine, with all that runs there. */
export const hostMetricUnits = {
  cpu: "percent of all cores",
  memory: "bytes",
  memory_total: "bytes",
  disk_free: "bytes",
  disk_total: "bytes",
} as const;

/** A series of one metric; `min` and `max` are of all its samples, and are among the points. */
export interface MetricSeries {
  metric: string;
  unit: string;
  min: number;
  max: number;
  points: Point[];
}

/** Whose series: all of the task together, one of its steps or services, or the machine. */
export type MetricSource = "task" | "host" | { step: number } | { service: string };

/** The sources that samples tell of: the task and the machine, then steps and services as they came. */
export function listSources(samples: readonly MetricSample[]): string[] {
  const units = new Set(samples.flatMap((sample) => sample.units.map((unit) => formatSource(sourceOf(unit)))));
  const hasHost = samples.some(({ host }) => host !== undefined);
  return samples.length === 0 ? [] : ["task", ...(hasHost ? ["host"] : []), ...units];
}

/** A source as one word: `task`, `host`, `step-2`, `service-db`. */
export function formatSource(source: MetricSource): string {
  if (typeof source === "string") return source;
  return "step" in source ? `step-${source.step}` : `service-${source.service}`;
}

/** Reads what `formatSource` wrote; undefined where it is something else. */
export function parseSource(text: string): MetricSource | undefined {
  if (text === "task" || text === "host") return text;
  const [, step, service] = /^(?:step-(\d+)|service-(.+))$/.exec(text) ?? [];
  if (step !== undefined) return { step: Number(step) };
  return service === undefined ? undefined : { service };
}

function sourceOf({ step, service }: UnitSample): MetricSource {
  return step === undefined ? { service: service ?? "" } : { step };
}

/** The series of a source, each with at most so many points. What nobody could tell has no series. */
export function buildSeries(samples: readonly MetricSample[], source: MetricSource, maxPoints: number): MetricSeries[] {
  const units = source === "host" ? hostMetricUnits : metricUnits;
  return Object.entries(units).flatMap(([metric, unit]) => {
    const points = samples.flatMap((sample) => {
      const value = readMetric(sample, source, metric);
      return value === undefined ? [] : [[sample.at, value] satisfies Point];
    });
    if (points.length === 0) return [];
    const values = points.map(([, value]) => value);
    const min = values.reduce((least, value) => Math.min(least, value));
    const max = values.reduce((most, value) => Math.max(most, value));
    return [{ metric, unit, min, max, points: downsample(points, maxPoints) }];
  });
}

function readMetric(sample: MetricSample, source: MetricSource, metric: string): number | undefined {
  if (source === "host") return readHost(sample.host, metric);
  const name = formatSource(source);
  const units = source === "task" ? sample.units : sample.units.filter((unit) => formatSource(sourceOf(unit)) === name);
  return units.length === 0 ? undefined : readUnits(units, metric);
}

function readHost(host: MetricSample["host"], metric: string): number | undefined {
  switch (metric) {
    case "cpu":
      return host?.cpu;
    case "memory":
      return host?.memory;
    case "memory_total":
      return host?.memoryTotal;
    case "disk_free":
      return host?.diskFree;
    case "disk_total":
      return host?.diskTotal;
    default:
      return undefined;
  }
}

function readUnits(units: readonly UnitSample[], metric: string): number | undefined {
  const all = sumUnits(units);
  const told = (pick: (unit: UnitSample) => number | undefined) => units.some((unit) => pick(unit) !== undefined);
  const rate = (name: "readBytes" | "writtenBytes" | "receivedBytes" | "sentBytes") =>
    told((unit) => unit[name]) && all.ms > 0 ? Math.round((all[name] * 1000) / all.ms) : undefined;
  if (metric === "oom_kills") return all.oomKills;
  // A sample of no time tells of an end only.
  if (all.ms === 0) return undefined;
  switch (metric) {
    case "cpu":
      return all.cpu;
    case "throttled":
      return told(({ throttled }) => throttled) ? all.throttled : undefined;
    case "memory":
      return all.memory;
    case "memory_limit":
      return all.memoryPercent;
    case "read":
      return rate("readBytes");
    case "written":
      return rate("writtenBytes");
    case "received":
      return rate("receivedBytes");
    case "sent":
      return rate("sentBytes");
    case "pids":
      return told(({ pids }) => pids) ? all.pids : undefined;
    default:
      return undefined;
  }
}
