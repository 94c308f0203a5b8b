import * as z from "zod";

const count = z.number().nonnegative();

/**
 * What one step or service used since the sample before, or since its start. `memory` is its working set: what the
 * kernel could not take back at once. What cannot be told is absent: a host process has no limits and no network of its own.
 */
const unitSampleSchema = z.object({
  /** 1-based index of the step; absent for a service. */
  step: z.number().int().min(1).optional(),
  /** Name of the service; absent for a step. */
  service: z.string().optional(),
  /** Milliseconds that the sample is about. */
  ms: count,
  /** Percent of one core. */
  cpu: count,
  /** Percent of the scheduler's periods in which it was held back by its limit. */
  throttled: count.optional(),
  memory: count,
  memoryLimit: count.optional(),
  readBytes: count.optional(),
  writtenBytes: count.optional(),
  receivedBytes: count.optional(),
  sentBytes: count.optional(),
  pids: count.optional(),
  /** Processes that the kernel killed for lack of memory. */
  oomKills: count.optional(),
});
export type UnitSample = z.infer<typeof unitSampleSchema>;

/** What the machine of an attempt used at that time, whoever used it. */
const hostUsageSchema = z.object({
  /** Percent of all its cores. */
  cpu: count,
  memory: count,
  memoryTotal: count,
  diskFree: count,
  diskTotal: count,
});
export type HostUsage = z.infer<typeof hostUsageSchema>;

/** One sample of an attempt, all that ran of it at the same time. `at` is the worker's clock, ms since the epoch. */
export const metricSampleSchema = z.object({
  at: z.number().int(),
  units: z.array(unitSampleSchema),
  host: hostUsageSchema.optional(),
});
export type MetricSample = z.infer<typeof metricSampleSchema>;

/** A snapshot as manifests list it: its key, how many samples it holds, and size and digest of their text. */
export const metricSnapshotSchema = z.object({
  key: z.string(),
  samples: z.number().int().min(1),
  size: z.number().int().nonnegative(),
  sha256: z.string(),
});
export type MetricSnapshot = z.infer<typeof metricSnapshotSchema>;

/** What an attempt used from its start to its end, as its samples tell. */
export const footprintSchema = z
  .object({
    /** Milliseconds from the first to the last moment that samples are about. */
    sampledMs: count,
    /** Percent of one core. */
    cpuAvg: count,
    cpuMax: count,
    memoryMax: count,
    readBytes: count,
    writtenBytes: count,
    receivedBytes: count,
    sentBytes: count,
    oomKills: count,
  })
  .meta({ id: "Footprint", description: "CPU in percent of one core, memory and traffic in bytes." });
export type Footprint = z.infer<typeof footprintSchema>;

/** Writes samples as a snapshot holds them: one JSON text a line. */
export function formatSamples(samples: readonly MetricSample[]): string {
  return samples.map((sample) => `${JSON.stringify(sample)}\n`).join("");
}

/** Reads what `formatSamples` wrote; throws where it is something else. */
export function parseSamples(text: string): MetricSample[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => metricSampleSchema.parse(JSON.parse(line)));
}

/** The numbers of all steps and services that a sample names together. */
export function sumUnits(units: readonly UnitSample[]) {
  const sum = (pick: (unit: UnitSample) => number | undefined) =>
    units.reduce((total, unit) => total + (pick(unit) ?? 0), 0);
  const most = (pick: (unit: UnitSample) => number | undefined) =>
    units.reduce((largest, unit) => Math.max(largest, pick(unit) ?? 0), 0);
  const isLimited = units.some(({ memoryLimit }) => memoryLimit !== undefined);
  return {
    ms: most(({ ms }) => ms),
    cpu: sum(({ cpu }) => cpu),
    throttled: most(({ throttled }) => throttled),
    memory: sum(({ memory }) => memory),
    /** Of the one that is nearest to its limit. */
    memoryPercent: isLimited ? most(percentOfLimit) : undefined,
    readBytes: sum(({ readBytes }) => readBytes),
    writtenBytes: sum(({ writtenBytes }) => writtenBytes),
    receivedBytes: sum(({ receivedBytes }) => receivedBytes),
    sentBytes: sum(({ sentBytes }) => sentBytes),
    pids: sum(({ pids }) => pids),
    oomKills: sum(({ oomKills }) => oomKills),
  };
}

function percentOfLimit({ memory, memoryLimit }: UnitSample): number | undefined {
  return memoryLimit ? (100 * memory) / memoryLimit : undefined;
}

/** Adds samples up to a footprint, one by one: its size does not depend on how many there were. */
export class FootprintCounter {
  #cpuTime = 0;
  readonly #sums: Footprint = {
    sampledMs: 0,
    cpuAvg: 0,
    cpuMax: 0,
    memoryMax: 0,
    readBytes: 0,
    writtenBytes: 0,
    receivedBytes: 0,
    sentBytes: 0,
    oomKills: 0,
  };

  add({ units }: Pick<MetricSample, "units">): void {
    const all = sumUnits(units);
    const sums = this.#sums;
    sums.sampledMs += all.ms;
    this.#cpuTime += units.reduce((total, { cpu, ms }) => total + cpu * ms, 0);
    sums.cpuMax = Math.max(sums.cpuMax, all.cpu);
    sums.memoryMax = Math.max(sums.memoryMax, all.memory);
    for (const name of ["readBytes", "writtenBytes", "receivedBytes", "sentBytes", "oomKills"] as const) {
      sums[name] += all[name];
    }
  }

  /** Undefined where there was no sample. */
  get footprint(): Footprint | undefined {
    const { sampledMs } = this.#sums;
    if (sampledMs === 0) return undefined;
    return { ...this.#sums, sampledMs: Math.round(sampledMs), cpuAvg: round(this.#cpuTime / sampledMs) };
  }
}

/** To a tenth: more digits would only tell of the clock. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
