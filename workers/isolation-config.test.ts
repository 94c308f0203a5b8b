import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

const minimal = { SLUICE_URL: "http://127.0.0.1:4400", SLUICE_TOKEN: "hush" };

function read(more: Record<string, string>) {
  const parsed = parseConfig({ ...minimal, ...more }, { cores: 8, cwd: "/" });
  return parsed.ok ? parsed.config.isolation : parsed.problems;
}

describe("how far tasks are kept apart from their machine", () => {
  it("blocks the metadata service and adds no rights unless told to", () => {
    expect(read({})).toEqual({ metadata: "blocked", addedCapabilities: [] });
    expect(read({ SLUICE_METADATA: "reachable", SLUICE_CAPABILITIES: "cap_sys_ptrace, NET_RAW" })).toEqual({
      metadata: "reachable",
      addedCapabilities: ["SYS_PTRACE", "NET_RAW"],
    });
  });

  it("names what is no capability, with the nearest", () => {
    expect(read({ SLUICE_CAPABILITIES: "SYS_PTRAC,FLY", SLUICE_METADATA: "shut" })).toEqual([
      "SLUICE_METADATA is blocked or reachable",
    ]);
    expect(read({ SLUICE_CAPABILITIES: "SYS_PTRAC,FLY" })).toEqual([
      expect.stringMatching(/there is no SYS_PTRAC: did you mean SYS_PTRACE\?$/),
      expect.stringMatching(/there is no FLY$/),
    ]);
  });

  it.each(["ec2", "openstack"])("refuses on %s what would go round the block, unless it is meant", (provider) => {
    const open = { SLUICE_PROVIDER: provider, SLUICE_EXECUTORS: "docker,process", SLUICE_CAPABILITIES: "NET_ADMIN" };
    expect(read(open)).toEqual([
      expect.stringMatching(/steps without an image .* and containers with NET_ADMIN .*SLUICE_METADATA=reachable/),
    ]);
    expect(read({ ...open, SLUICE_METADATA: "reachable" })).toMatchObject({ metadata: "reachable" });
    expect(read({ ...open, SLUICE_PROVIDER: "local" })).toMatchObject({ metadata: "blocked" });
  });
});
