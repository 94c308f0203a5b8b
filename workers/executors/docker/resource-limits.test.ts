import { describe, expect, it } from "vitest";
import { limitResources } from "./resource-limits.ts";

describe("limitResources", () => {
  it("gives what the job says for one slot, times the slots", () => {
    expect(limitResources({ cpus: 0.5, memoryBytes: 64 * 1024 ** 2, pids: 100 }, 3)).toEqual({
      CpuPeriod: 100_000,
      CpuQuota: 150_000,
      Memory: 192 * 1024 ** 2,
      MemorySwap: 192 * 1024 ** 2,
      PidsLimit: 300,
    });
  });

  it("limits nothing but processes where the job says nothing, and asks for no more than Linux can count", () => {
    expect(limitResources(undefined, 2)).toEqual({ PidsLimit: 8_192 });
    expect(limitResources({ pids: 1_000_000 }, 1_024)).toEqual({ PidsLimit: 4_194_304 });
  });
});
