import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished, vi } from "vitest";
import { locateOomCounter, OomWatch, parseOomKills } from "./oom-watch.ts";

/** `memory.events` as the kernel writes it. */
const events = (kills: number) => `low 0\nhigh 0\nmax 31\noom ${kills + 1}\noom_kill ${kills}\noom_group_kill 0\n`;

async function openWatch(pollMs: number) {
  const folder = await mkdtemp(join(tmpdir(), "sluice-oom-"));
  const file = join(folder, "memory.events");
  await writeFile(file, events(0));
  const watch = new OomWatch(file, pollMs);
  onTestFinished(async () => {
    watch.close();
    await rm(folder, { recursive: true });
  });
  return { watch, file };
}

it("reads the kernel's count in either version of cgroups, and takes no limit that held for a kill", () => {
  expect(parseOomKills(events(1))).toBe(1);
  expect(parseOomKills(events(0))).toBe(0);
  expect(parseOomKills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")).toBe(2);
  // As old kernels have it.
  expect(parseOomKills("oom_kill_disable 0\nunder_oom 0\n")).toBe(0);
});

it.each([
  ["1", "cgroupfs", "/sys/fs/cgroup/memory/docker/abc/memory.oom_control"],
  ["1", "systemd", "/sys/fs/cgroup/memory/system.slice/docker-abc.scope/memory.oom_control"],
  ["2", "cgroupfs", "/sys/fs/cgroup/docker/abc/memory.events"],
  ["2", "systemd", "/sys/fs/cgroup/system.slice/docker-abc.scope/memory.events"],
] as const)("knows where version %s of cgroups with the driver %s keeps it", (version, driver, path) => {
  expect(locateOomCounter({ version, driver }, "abc")).toBe(path);
});

it.each([
  ["is told of a kill at once, as version 2 does", 3_600_000],
  ["looks by itself where nobody tells, as in version 1", 10],
])("%s", async (_name, pollMs) => {
  const { watch, file } = await openWatch(pollMs);
  expect(watch.hasSeenKill).toBe(false);
  await writeFile(file, events(1));
  await vi.waitFor(() => expect(watch.hasSeenKill).toBe(true));
});

it("sees nothing where there is no such file", () => {
  const watch = new OomWatch("/nowhere/memory.events");
  expect(watch.hasSeenKill).toBe(false);
  watch.close();
});
