import { describe, expect, it } from "vitest";
import { readDockerStats, sumNetworks } from "./docker-stats.ts";
import { parseNetworkCounters } from "./network-counters.ts";
import { sampleBetween, startUsage } from "./usage.ts";

describe("a sample", () => {
  const first = {
    atMs: 0,
    usage: { cpuUs: 1_000_000, periods: 100, throttledPeriods: 10, memoryBytes: 5, sentBytes: 7 },
  };

  it("tells what was used between two readings, in shares and bytes", () => {
    const usage = {
      cpuUs: 8_500_000,
      periods: 150,
      throttledPeriods: 35,
      memoryBytes: 9,
      memoryLimitBytes: 18,
      sentBytes: 107,
    };
    expect(sampleBetween(first, { atMs: 5_000, usage })).toEqual({
      ms: 5_000,
      cpu: 150,
      throttled: 50,
      memory: 9,
      memoryLimit: 18,
      sentBytes: 100,
    });
  });

  it("counts from nothing at the start, and where a counter began again", () => {
    const usage = { cpuUs: 500_000, memoryBytes: 9, sentBytes: 3 };
    expect(sampleBetween(startUsage(0), { atMs: 1_000, usage })).toMatchObject({ cpu: 50, sentBytes: 3 });
    expect(sampleBetween(first, { atMs: 1_000, usage })).toMatchObject({ cpu: 50, sentBytes: 3 });
  });

  it("leaves out what cannot be told", () => {
    const sample = sampleBetween(startUsage(0), { atMs: 1_000, usage: { cpuUs: 0, periods: 0, memoryBytes: 1 } });
    expect(sample).toEqual({ ms: 1_000, cpu: 0, memory: 1 });
  });
});

describe("the daemon's statistics", () => {
  const stats = {
    cpu_stats: {
      cpu_usage: { total_usage: 2_500_000_000 },
      throttling_data: { periods: 40, throttled_periods: 10, throttled_time: 5 },
    },
    memory_stats: { usage: 50_000_000, limit: 100_000_000, stats: { inactive_file: 15_000_000 } },
    blkio_stats: {
      io_service_bytes_recursive: [
        { major: 259, minor: 0, op: "Read", value: 4_096 },
        { major: 259, minor: 0, op: "write", value: 8_192 },
        { major: 259, minor: 0, op: "Total", value: 12_288 },
      ],
    },
    pids_stats: { current: 7 },
    networks: { eth0: { rx_bytes: 10, tx_bytes: 20 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
  };

  it("come to the same as the files of a cgroup", () => {
    expect(readDockerStats(stats, 1e12)).toMatchObject({
      cpuUs: 2_500_000,
      periods: 40,
      throttledPeriods: 10,
      memoryBytes: 35_000_000,
      memoryLimitBytes: 100_000_000,
      readBytes: 4_096,
      writtenBytes: 8_192,
      pids: 7,
      receivedBytes: 11,
      sentBytes: 22,
    });
    const version1 = { ...stats.memory_stats, stats: { total_inactive_file: 20_000_000, inactive_anon: 1 } };
    expect(readDockerStats({ ...stats, memory_stats: version1 }, 1e12)).toMatchObject({ memoryBytes: 30_000_000 });
  });

  it("name the machine's memory where there is no limit, no disk where it counts none, and nothing after the end", () => {
    const bare = { ...stats, blkio_stats: { io_service_bytes_recursive: null } };
    expect(readDockerStats(bare, 100_000_000)).toMatchObject({ memoryLimitBytes: undefined, readBytes: undefined });
    expect(readDockerStats({ memory_stats: {}, cpu_stats: { cpu_usage: { total_usage: 0 } } }, 1)).toBeUndefined();
    expect(sumNetworks({})).toBeUndefined();
  });
});

describe("the traffic of a network namespace", () => {
  it("is that of all its interfaces but the one that stays inside", () => {
    const text = [
      "Inter-|   Receive                                                |  Transmit",
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed",
      "    lo: 9999999      10    0    0    0     0          0         0  9999999      10    0    0    0     0       0          0",
      "  eth0: 1040      12    0    0    0     0          0         0      70       1    0    0    0     0       0          0",
      "  eth1:2000000000000       12    0    0    0     0          0         0      5       1    0    0    0     0       0          0",
      "",
    ].join("\n");
    expect(parseNetworkCounters(text)).toEqual({ receivedBytes: 2_000_000_001_040, sentBytes: 75 });
  });
});
