import { workingSet } from "./cgroup-files.ts";
import type { NetworkCounters } from "./network-counters.ts";
import type { Usage } from "./usage.ts";

/** What the Docker API tells of a container's use, as far as it is read; a container that has ended has little of it. */
export interface DockerStats {
  cpu_stats?: {
    cpu_usage?: { total_usage?: number };
    throttling_data?: { periods?: number; throttled_periods?: number };
  };
  memory_stats?: { usage?: number; limit?: number; stats?: Record<string, number> };
  blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
  pids_stats?: { current?: number };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
}

/** Reads an answer of the Docker API; undefined where the container has ended. A limit of all memory is none. */
export function readDockerStats(stats: DockerStats, machineBytes: number): Usage | undefined {
  const { cpu_stats: cpu, memory_stats: memory, blkio_stats: io } = stats;
  if (memory?.usage === undefined || cpu?.cpu_usage?.total_usage === undefined) return undefined;
  const sumOf = (operation: string) =>
    io?.io_service_bytes_recursive
      ?.filter(({ op }) => op.toLowerCase() === operation)
      .reduce((sum, { value }) => sum + value, 0);
  const { limit } = memory;
  return {
    cpuUs: cpu.cpu_usage.total_usage / 1000,
    periods: cpu.throttling_data?.periods,
    throttledPeriods: cpu.throttling_data?.throttled_periods,
    memoryBytes: workingSet(memory.usage, memory.stats?.inactive_file ?? memory.stats?.total_inactive_file),
    memoryLimitBytes: limit !== undefined && limit < machineBytes ? limit : undefined,
    readBytes: sumOf("read"),
    writtenBytes: sumOf("write"),
    pids: stats.pids_stats?.current,
    ...sumNetworks(stats),
  };
}

/** Traffic of a container's own network namespace; undefined where it has none of its own. */
export function sumNetworks({ networks }: DockerStats): NetworkCounters | undefined {
  if (networks === undefined) return undefined;
  const sum = (pick: (network: { rx_bytes: number; tx_bytes: number }) => number) =>
    Object.values(networks).reduce((total, network) => total + pick(network), 0);
  return { receivedBytes: sum(({ rx_bytes }) => rx_bytes), sentBytes: sum(({ tx_bytes }) => tx_bytes) };
}
