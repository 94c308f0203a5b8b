import { describe, expect, it } from "vitest";
import { findUnit, parseTimespan, readStopTimeout } from "./service-manager.ts";

describe("what systemd says of its stop timeout", () => {
  it("is read as it prints times", () => {
    expect(parseTimespan("1min 30s\n")).toBe(90_000);
    expect(parseTimespan("2h 500ms")).toBe(7_200_500);
    expect(parseTimespan("45s")).toBe(45_000);
    expect(parseTimespan("infinity")).toBeUndefined();
    expect(parseTimespan("")).toBeUndefined();
  });

  it("is that of the unit in the process's cgroups, of either version", () => {
    expect(findUnit("0::/system.slice/sluice-worker.service\n")).toBe("sluice-worker.service");
    const hybrid =
      "9:memory:/system.slice/sluice-worker@2.service\n1:name=systemd:/system.slice/sluice-worker@2.service\n";
    expect(findUnit(hybrid)).toBe("sluice-worker@2.service");
    expect(findUnit("0::/user.slice/user-1000.slice/session-3.scope\n")).toBeUndefined();
  });

  it("is not asked for by a process that no unit runs", async () => {
    expect(await readStopTimeout({})).toBeUndefined();
  });
});
