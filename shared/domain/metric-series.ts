import { downsample, type Point, SpikeKeeper } from "./downsample.ts";
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

/** Points of a series that are kept as they are, those of more than a day: see `SpikeKeeper`. */
const mostPointsKept = 20_000;

/**
 * Collects the series of a source from samples, one by one, in about the order of time. What it keeps does not grow with
 * how many there are.
 */
export class SeriesCollector {
  readonly #source: MetricSource;
  readonly #mostPoints: number;
  readonly #series = new Map<string, { min: number; max: number; kept: SpikeKeeper }>();
  readonly #units = new Set<string>();
  #hasHost = false;
  #samples = 0;

  constructor(source: MetricSource, mostPoints = mostPointsKept) {
    this.#source = source;
    this.#mostPoints = mostPoints;
  }

  add(sample: MetricSample): void {
    this.#samples += 1;
    this.#hasHost ||= sample.host !== undefined;
    for (const unit of sample.units) this.#units.add(formatSource(sourceOf(unit)));
    for (const [metric, value] of Object.entries(readMetrics(sample, this.#source))) {
      if (value !== undefined) this.#addPoint(metric, [sample.at, value]);
    }
  }

  #addPoint(metric: string, point: Point): void {
    const [, value] = point;
    const series = this.#series.get(metric) ?? { min: value, max: value, kept: new SpikeKeeper(this.#mostPoints) };
    series.kept.add(point);
    series.min = Math.min(series.min, value);
    series.max = Math.max(series.max, value);
    this.#series.set(metric, series);
  }

  /** How many there were. */
  get samples(): number {
    return this.#samples;
  }

  /** The sources that they tell of: the task and the machine, then steps and services as they came. */
  get sources(): string[] {
    return this.#samples === 0 ? [] : ["task", ...(this.#hasHost ? ["host"] : []), ...this.#units];
  }

  /** The series, each with at most so many points. What nobody could tell has no series. */
  series(maxPoints: number): MetricSeries[] {
    return Object.entries(unitsOf(this.#source)).flatMap(([metric, unit]) => {
      const found = this.#series.get(metric);
      if (!found) return [];
      const { min, max, kept } = found;
      return [{ metric, unit, min, max, points: downsample(inTime(kept.points), maxPoints) }];
    });
  }
}

/** A worker's clock may be set back while it samples. */
function inTime(points: readonly Point[]): Point[] {
  return points.toSorted(([a], [b]) => a - b);
}

function unitsOf(source: MetricSource): Record<string, string> {
  return source === "host" ? hostMetricUnits : metricUnits;
}

/** What a sample tells of a source; what nobody could tell is undefined. */
function readMetrics(sample: MetricSample, source: MetricSource): Readings {
  if (source === "host") return readHost(sample.host);
  const name = formatSource(source);
  const units = source === "task" ? sample.units : sample.units.filter((unit) => formatSource(sourceOf(unit)) === name);
  return units.length === 0 ? {} : readUnits(units);
}

type Readings = Partial<Record<keyof typeof metricUnits | keyof typeof hostMetricUnits, number | undefined>>;

function readHost(host: MetricSample["host"]): Readings {
  if (!host) return {};
  const { cpu, memory, memoryTotal, diskFree, diskTotal } = host;
  return { cpu, memory, memory_total: memoryTotal, disk_free: diskFree, disk_total: diskTotal };
}

function readUnits(units: readonly UnitSample[]): Readings {
  const all = sumUnits(units);
  // A sample of no time tells of an end only.
  if (all.ms === 0) return { oom_kills: all.oomKills };
  const isTold = (name: keyof UnitSample) => units.some((unit) => unit[name] !== undefined);
  const rate = (name: "readBytes" | "writtenBytes" | "receivedBytes" | "sentBytes") =>
    isTold(name) ? Math.round((all[name] * 1000) / all.ms) : undefined;
  return {
    cpu: all.cpu,
    throttled: isTold("throttled") ? all.throttled : undefined,
    memory: all.memory,
    memory_limit: all.memoryPercent,
    read: rate("readBytes"),
    written: rate("writtenBytes"),
    received: rate("receivedBytes"),
    sent: rate("sentBytes"),
    pids: isTold("pids") ? all.pids : undefined,
    oom_kills: all.oomKills,
  };
}
