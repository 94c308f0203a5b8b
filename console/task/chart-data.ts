import type { TaskMetrics } from "../../shared/api/metric-schemas.ts";
import type { StepResult } from "../../shared/domain/manifest.ts";

type Series = TaskMetrics["series"][number];

/** How numbers of a chart are written. */
export type ChartUnit = "percent" | "bytes" | "rate" | "count";

/** A line of a chart: its values at the times of the chart, `null` where a gap begins, `undefined` where it has no point. */
export interface ChartLine {
  label: string;
  /** Which of the colours of charts. */
  color: number;
  /** A bound, not something that was used. */
  isLimit?: boolean;
  values: (number | null | undefined)[];
}

/** A chart: times in seconds since the epoch, as uPlot wants them, and its lines. */
export interface Chart {
  key: string;
  title: string;
  unit: ChartUnit;
  times: number[];
  lines: ChartLine[];
}

interface ChartPlan {
  key: string;
  title: string;
  unit: ChartUnit;
  lines: { metric: string; label: string; isLimit?: boolean }[];
}

const taskPlans: readonly ChartPlan[] = [
  {
    ...{ key: "cpu", title: "CPU, of one core", unit: "percent" },
    lines: [
      { metric: "cpu", label: "used" },
      { metric: "throttled", label: "throttled" },
    ],
  },
  {
    ...{ key: "memory", title: "Memory", unit: "bytes" },
    lines: [
      { metric: "memory", label: "used" },
      { metric: "limit", label: "limit", isLimit: true },
    ],
  },
  {
    ...{ key: "disk", title: "Disk", unit: "rate" },
    lines: [
      { metric: "read", label: "read" },
      { metric: "written", label: "written" },
    ],
  },
  {
    ...{ key: "network", title: "Network", unit: "rate" },
    lines: [
      { metric: "received", label: "received" },
      { metric: "sent", label: "sent" },
    ],
  },
  { key: "pids", title: "Processes and threads", unit: "count", lines: [{ metric: "pids", label: "processes" }] },
];
const hostPlans: readonly ChartPlan[] = [
  { key: "cpu", title: "CPU, of all cores", unit: "percent", lines: [{ metric: "cpu", label: "used" }] },
  {
    ...{ key: "memory", title: "Memory", unit: "bytes" },
    lines: [
      { metric: "memory", label: "used" },
      { metric: "memory_total", label: "there is", isLimit: true },
    ],
  },
  {
    ...{ key: "disk", title: "Disk of the workspaces", unit: "bytes" },
    lines: [
      { metric: "disk_free", label: "free" },
      { metric: "disk_total", label: "there is", isLimit: true },
    ],
  },
];

/** Samples are taken this often; with three of them missing there is a gap. */
const gapMs = 3 * 5_000 + 1_000;

/** What the metrics of a source show, a chart for what belongs together; what nobody could tell has none. */
export function buildCharts(metrics: TaskMetrics, maxPoints: number): Chart[] {
  const plans = metrics.source === "host" ? hostPlans : taskPlans;
  const known = new Map(metrics.series.map((series) => [series.metric, series]));
  const limit = findLimit(metrics);
  if (limit) known.set("limit", limit);
  return plans.flatMap(({ lines: plan, ...chart }) => {
    const found = plan.flatMap((line, color) => {
      const series = known.get(line.metric);
      return series ? [{ ...line, color, series }] : [];
    });
    // A limit alone is no chart.
    if (found.every(({ isLimit }) => isLimit)) return [];
    const times = joinTimes(found.map(({ series }) => cutAtGaps(series, maxPoints)));
    const lines = found.map(({ series, label, color, isLimit }) => {
      const values = new Map(cutAtGaps(series, maxPoints));
      return { label, color, ...(isLimit ? { isLimit } : {}), values: times.map((ms) => values.get(ms)) };
    });
    return [{ ...chart, times: times.map((ms) => ms / 1000), lines }];
  });
}

/**
 * The limit of memory in bytes, from how much of it is used. Of several units together the percentage is of the one that
 * is nearest to its limit, and no sum has such a limit.
 */
function findLimit({ series, source, sources }: TaskMetrics): Series | undefined {
  const units = sources.filter((name) => name !== "task" && name !== "host");
  if (source === "host" || (source === "task" && units.some((name) => name.startsWith("service-")))) return undefined;
  const used = series.find(({ metric }) => metric === "memory");
  const percents = new Map(series.find(({ metric }) => metric === "memory_limit")?.points);
  const points = (used?.points ?? []).flatMap(([at, bytes]): [number, number][] => {
    const percent = percents.get(at);
    return percent ? [[at, (bytes * 100) / percent]] : [];
  });
  if (points.length === 0) return undefined;
  return { metric: "limit", unit: "bytes", min: 0, max: 0, points };
}

/** Points with an empty one in each gap, which breaks the line. */
function cutAtGaps({ points }: Series, maxPoints: number): [number, number | null][] {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return [];
  // Thinned points are apart by up to two parts of the whole.
  const thinnedMs = points.length < maxPoints ? 0 : (2.5 * (last[0] - first[0])) / maxPoints;
  return points.flatMap(([at, value], index): [number, number | null][] => {
    const before = points[index - 1]?.[0] ?? at;
    if (at - before <= gapMs + thinnedMs) return [[at, value]];
    return [
      [before + 1, null],
      [at, value],
    ];
  });
}

function joinTimes(series: readonly (readonly [number, number | null][])[]): number[] {
  return [...new Set(series.flatMap((points) => points.map(([at]) => at)))].sort((a, b) => a - b);
}

/** What is marked in charts: when steps ran, and when something was killed for lack of memory. Times in seconds. */
export interface ChartMarks {
  bands: { label: string; from: number; to: number }[];
  kills: number[];
}

/** The marks of an attempt. A kill that no sample saw was seen as its step ended. */
export function findMarks(steps: readonly StepResult[], metrics: TaskMetrics): ChartMarks {
  const bands = steps.flatMap(({ index, startedAt, endedAt }) => {
    if (!startedAt || !endedAt) return [];
    return [{ label: String(index), from: Date.parse(startedAt) / 1000, to: Date.parse(endedAt) / 1000 }];
  });
  const seen = metrics.series.find(({ metric }) => metric === "oom_kills")?.points ?? [];
  const kills = seen.filter(([, count]) => count > 0).map(([at]) => at / 1000);
  if (kills.length > 0) return { bands, kills };
  const ends = steps.flatMap(({ outOfMemory, endedAt }) =>
    outOfMemory && endedAt ? [Date.parse(endedAt) / 1000] : [],
  );
  return { bands, kills: ends };
}

/** One span of time for all charts, so that they can be compared. */
export function findRange(charts: readonly Chart[], { bands }: ChartMarks): [number, number] {
  const times = [
    ...charts.flatMap(({ times }) => [times[0] ?? 0, times.at(-1) ?? 0]),
    ...bands.flatMap((b) => [b.from, b.to]),
  ];
  const from = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const to = times.reduce((most, time) => Math.max(most, time), Number.NEGATIVE_INFINITY);
  // A single sample has no width.
  return from < to ? [from, to] : [from - 1, to + 1];
}

/** A chart of nothing has an axis of sensible numbers all the same. */
const leastTop: Record<ChartUnit, number> = { percent: 10, bytes: 10_000, rate: 1_000, count: 4 };
/** A limit that is further away than this is told beside the chart: in it, what was used would be a flat line. */
const nearLimit = 4;

/** Where the axis of a chart ends. */
export function findTop({ lines, unit }: Chart): number {
  const most = (isLimit: boolean) =>
    lines
      .filter((line) => (line.isLimit ?? false) === isLimit)
      .flatMap(({ values }) => values)
      .reduce<number>((top, value) => Math.max(top, value ?? 0), 0);
  const [used, limit] = [most(false), most(true)];
  return Math.max(leastTop[unit], 1.1 * (limit <= nearLimit * used ? Math.max(used, limit) : used));
}
