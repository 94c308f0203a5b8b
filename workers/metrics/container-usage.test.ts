import { expect, it } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { ContainerUsage } from "./container-usage.ts";

it("counts traffic anew where a container was started again, and never below nothing", async () => {
  const counters = [
    { rx_bytes: 1_000, tx_bytes: 500 },
    { rx_bytes: 1_500, tx_bytes: 600 },
    { rx_bytes: 20, tx_bytes: 900 },
    { rx_bytes: 30, tx_bytes: 950 },
  ];
  const container = new ContainerUsage({
    containerId: "c",
    networkId: "c",
    mounts: undefined,
    driver: "cgroupfs",
    inspectPid: async () => 1,
    readStats: async () => ({
      cpu_stats: { cpu_usage: { total_usage: 1 } },
      memory_stats: { usage: 1 },
      networks: { eth0: counters.shift() ?? { rx_bytes: 0, tx_bytes: 0 } },
    }),
    log: createLogger("test", { level: "silent" }),
  });
  const told: unknown[] = [];
  for (let read = 0; read < 4; read++) {
    const { receivedBytes, sentBytes } = (await container.read()) ?? {};
    told.push([receivedBytes, sentBytes]);
  }
  expect(told).toEqual([
    [0, 0],
    [500, 100],
    [20, 900],
    [30, 950],
  ]);
});
