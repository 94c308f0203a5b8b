import type { HostConfig } from "dockerode";
import type { ResourcesSpec } from "../../../shared/jobfile/job-spec.ts";

/** The scheduler's period, in microseconds: that of Docker's own `--cpus`. */
const cpuPeriodMicros = 100_000;
/** Linux has no more process ids, and takes no limit above them. */
const maxPids = 4_194_304;
/** For each slot where the job does not say: no build comes near it, and a fork bomb does not take the machine along. */
const defaultPids = 4_096;

/**
 * The limits of one container of a task: what the job says for one slot, times the slots. Each container of a task,
 * step or service, has them for itself. A quota, for Docker refuses more `NanoCpus` than the machine has.
 */
export function limitResources(
  resources: ResourcesSpec = {},
  slots: number,
): Pick<HostConfig, "CpuPeriod" | "CpuQuota" | "Memory" | "MemorySwap" | "PidsLimit"> {
  const { cpus, memoryBytes, pids = defaultPids } = resources;
  return {
    PidsLimit: Math.min(pids * slots, maxPids),
    ...(cpus !== undefined && { CpuPeriod: cpuPeriodMicros, CpuQuota: Math.round(cpus * slots * cpuPeriodMicros) }),
    // With swap beside it a step would become slow instead of failing with a reason.
    ...(memoryBytes !== undefined && { Memory: memoryBytes * slots, MemorySwap: memoryBytes * slots }),
  };
}
