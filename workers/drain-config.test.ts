import { describe, expect, it } from "vitest";
import { timing } from "../shared/domain/timing.ts";
import { readDrainConfig } from "./drain-config.ts";

function read(env: Record<string, string>, managerStopTimeoutMs?: number) {
  const problems: string[] = [];
  const config = readDrainConfig(env, managerStopTimeoutMs, problems);
  return config ?? problems;
}

describe("readDrainConfig", () => {
  it("takes the usual times where nothing is said", () => {
    const { drainMs, killGraceMs } = timing;
    expect(read({})).toEqual({ drainMs, finishMs: drainMs, killGraceMs, idleTimeoutMs: undefined });
  });

  it("shortens a drain of which nothing is said to what the service manager waits, whoever tells that", () => {
    expect(read({ SLUICE_STOP_TIMEOUT_MS: "10000" })).toMatchObject({ drainMs: 9_000, finishMs: 9_000 });
    expect(read({}, 10_000)).toMatchObject({ drainMs: 9_000 });
    expect(read({ SLUICE_STOP_TIMEOUT_MS: "90000" }, 10_000)).toMatchObject({ drainMs: 9_000 });
    expect(read({}, 90_000)).toMatchObject({ drainMs: timing.drainMs });
  });

  it("refuses times that do not fit into each other, all at once, and says what to change", () => {
    expect(read({ SLUICE_DRAIN_MS: "40000", SLUICE_STOP_TIMEOUT_MS: "20000", SLUICE_KILL_GRACE_MS: "50000" })).toEqual([
      expect.stringContaining("SLUICE_DRAIN_MS (40000) is at most 30000"),
      expect.stringMatching(/wait for 41000 ms at least .*or set SLUICE_DRAIN_MS to 19000 at most/),
      expect.stringContaining("SLUICE_KILL_GRACE_MS (50000) is shorter than SLUICE_DRAIN_MS (40000)"),
    ]);
    expect(read({ SLUICE_DRAIN_MS: "20000", SLUICE_DRAIN_FINISH_MS: "21000" })).toEqual([
      "SLUICE_DRAIN_FINISH_MS (21000) is at most SLUICE_DRAIN_MS (20000): it is a part of it",
    ]);
    expect(read({ SLUICE_DRAIN_MS: "100", SLUICE_KILL_GRACE_MS: "0" })).toEqual([
      expect.stringContaining("SLUICE_DRAIN_MS (100) is at least 500"),
    ]);
    expect(read({ SLUICE_STOP_TIMEOUT_MS: "1500" })).toEqual([expect.stringContaining("leaves no time for a drain")]);
  });

  it("reads how long a worker waits for a task", () => {
    expect(read({ SLUICE_IDLE_TIMEOUT: "10m" })).toMatchObject({ idleTimeoutMs: 600_000 });
  });
});
