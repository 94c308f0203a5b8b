import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { createHostSampler } from "./host-sample.ts";

const times = (user: number, idle: number) => ({ times: { user, nice: 0, sys: 0, idle, irq: 0 } });

test("tells the share of all cores that was busy since the sample before", async () => {
  let cores = [times(1_000, 9_000), times(0, 10_000)];
  const sampler = createHostSampler({ folder: tmpdir(), readCpus: () => cores });
  cores = [times(2_000, 9_000), times(500, 10_500)];
  expect((await sampler.sample()).cpu).toBe(0.75);
  cores = [times(2_000, 10_000), times(500, 11_500)];
  expect((await sampler.sample()).cpu).toBe(0);
});

test("keeps the last share where too little time has passed for another", async () => {
  let cores = [times(0, 0)];
  const sampler = createHostSampler({ folder: tmpdir(), readCpus: () => cores });
  cores = [times(1_000, 1_000)];
  expect((await sampler.sample()).cpu).toBe(0.5);
  cores = [times(1_010, 1_000)];
  expect((await sampler.sample()).cpu).toBe(0.5);
});

test("goes on where a core was taken offline, and its times with it", async () => {
  let cores = [times(1_000, 1_000), times(90_000, 90_000)];
  const sampler = createHostSampler({ folder: tmpdir(), readCpus: () => cores });
  cores = [times(2_000, 1_000)];
  await sampler.sample();
  cores = [times(2_500, 1_500)];
  expect((await sampler.sample()).cpu).toBe(0.5);
});

test("tells memory and disk of this machine", async () => {
  const { memoryBytes, diskBytes } = await createHostSampler({ folder: tmpdir() }).sample();
  expect(memoryBytes.used).toBeGreaterThan(0);
  expect(memoryBytes.used).toBeLessThan(memoryBytes.total);
  expect(diskBytes.total).toBeGreaterThan(0);
  expect(diskBytes.free).toBeLessThanOrEqual(diskBytes.total);
});

test("counts memory that nobody could have at once as used", async () => {
  const sampler = createHostSampler({ folder: tmpdir(), readMemory: () => ({ free: 3, total: 10 }) });
  expect((await sampler.sample()).memoryBytes).toEqual({ used: 7, total: 10 });
});

test("fails where the disk cannot be asked", async () => {
  await expect(createHostSampler({ folder: "/nowhere/at/all" }).sample()).rejects.toThrow("ENOENT");
});
