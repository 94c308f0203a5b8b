import type { UnitSample } from "../../shared/domain/metric-sample.ts";

/** What something has used since its start, and what it holds now. What cannot be told is absent. */
export interface Usage {
  cpuUs: number;
  /** The scheduler's periods under a limit, and those of them in which it was held back. */
  periods?: number | undefined;
  throttledPeriods?: number | undefined;
  memoryBytes: number;
  /** Absent where the machine is the limit. */
  memoryLimitBytes?: number | undefined;
  readBytes?: number | undefined;
  writtenBytes?: number | undefined;
  receivedBytes?: number | undefined;
  sentBytes?: number | undefined;
  pids?: number | undefined;
  oomKills?: number | undefined;
}

/** Something whose usage can be asked for; undefined where it has ended or cannot be asked now. */
export interface UsageSource {
  read(): Usage | undefined | Promise<Usage | undefined>;
}

/** A usage at a moment of a clock that only goes forward. */
export interface UsageAt {
  atMs: number;
  usage: Usage;
}

/** A start from which everything is counted. */
export function startUsage(atMs: number): UsageAt {
  return { atMs, usage: { cpuUs: 0, memoryBytes: 0 } };
}

/** What was used between two readings. A counter that went back (a service that was started again) counts from 0. */
export function sampleBetween(before: UsageAt, now: UsageAt): Omit<UnitSample, "step" | "service"> {
  const ms = Math.max(1, now.atMs - before.atMs);
  const since = (pick: (usage: Usage) => number | undefined) => {
    const [last, first] = [pick(now.usage), pick(before.usage) ?? 0];
    return last === undefined ? undefined : last >= first ? last - first : last;
  };
  const periods = since((usage) => usage.periods);
  const throttledPeriods = since((usage) => usage.throttledPeriods);
  const { memoryBytes, memoryLimitBytes, pids } = now.usage;
  const told = {
    throttled:
      periods && throttledPeriods !== undefined ? round(Math.min(100, (100 * throttledPeriods) / periods)) : undefined,
    memoryLimit: memoryLimitBytes,
    readBytes: since((usage) => usage.readBytes),
    writtenBytes: since((usage) => usage.writtenBytes),
    receivedBytes: since((usage) => usage.receivedBytes),
    sentBytes: since((usage) => usage.sentBytes),
    pids,
    oomKills: since((usage) => usage.oomKills) || undefined,
  };
  const cpuUs = since((usage) => usage.cpuUs) ?? 0;
  return { ms: Math.round(ms), cpu: round(cpuUs / 10 / ms), memory: memoryBytes, ...dropUndefined(told) };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function dropUndefined<T extends Record<string, number | undefined>>(values: T) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: number;
  };
}
