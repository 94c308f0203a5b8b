import type { Bar } from "./bars.ts";

/** How long one phase took, over many attempts, in milliseconds. */
export interface Distribution {
  count: number;
  p50: number;
  p95: number;
  max: number;
  /** How many took less than each of `bounds`, and not less than the one before; the last: longer than all. */
  buckets: number[];
}

/** Milliseconds between the buckets of a distribution. */
export const bounds = [100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000] as const;

/** Phases of an attempt, in their order. */
export const phases = ["queue", "lease", "run", "upload"] as const;
export type Phase = (typeof phases)[number];

/** How long the phases of attempts took. Those that are not known yet are left out. */
export function measurePhases(bars: Iterable<Bar>): Record<Phase, Distribution | undefined> {
  const times: Record<Phase, number[]> = { queue: [], lease: [], run: [], upload: [] };
  for (const { waitedMs, leaseMs, runMs, startMs, endMs } of bars) {
    if (waitedMs !== undefined) times.queue.push(waitedMs);
    if (leaseMs === undefined || runMs === undefined || endMs === undefined) continue;
    times.lease.push(leaseMs);
    times.run.push(runMs);
    times.upload.push(Math.max(0, endMs - startMs - leaseMs - runMs));
  }
  const { queue, lease, run, upload } = times;
  return { queue: distribute(queue), lease: distribute(lease), run: distribute(run), upload: distribute(upload) };
}

/** The distribution of some times; undefined of none. A percentile is the smallest time that so many do not exceed. */
export function distribute(times: readonly number[]): Distribution | undefined {
  if (times.length === 0) return undefined;
  const sorted = Float64Array.from(times).sort();
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const buckets = Array.from({ length: bounds.length + 1 }, () => 0);
  let bucket = 0;
  for (const time of sorted) {
    while (bucket < bounds.length && time >= (bounds[bucket] ?? 0)) bucket++;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  return { count: sorted.length, p50: rank(0.5), p95: rank(0.95), max: rank(1), buckets };
}
