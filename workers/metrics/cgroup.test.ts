import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { listCgroupPids, readCgroup } from "./cgroup-files.ts";
import { findContainerCgroup, findProcessCgroup, readCgroupMounts } from "./cgroup-place.ts";

const containerId = "0123456789abcdef".repeat(4);

/** A machine in a folder: files by their paths, `{root}` in their text is the folder. */
async function makeMachine(files: Record<string, string>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "sluice-cgroups-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text.replaceAll("{root}", root));
  }
  return root;
}

const version2Files = (folder: string) => ({
  [`${folder}/cpu.stat`]:
    "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 40\nnr_throttled 10\nthrottled_usec 900\n",
  [`${folder}/memory.current`]: "50000000\n",
  [`${folder}/memory.stat`]: "anon 30000000\nfile 20000000\ninactive_anon 7\ninactive_file 15000000\n",
  [`${folder}/memory.max`]: "100000000\n",
  [`${folder}/memory.events`]: "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n",
  [`${folder}/io.stat`]:
    "259:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n253:0 rbytes=100 wbytes=200 rios=1 wios=1 dbytes=0 dios=0\n",
  [`${folder}/pids.current`]: "7\n",
  [`${folder}/cgroup.procs`]: "4711\n4712\n",
});

/** A container of this machine's mixed set-up: one mount for each controller, an empty version 2 beside them. */
const version1Files = (path: string) => ({
  [`cg/cpuacct${path}/cpuacct.usage`]: "2500000000\n",
  [`cg/cpuacct${path}/cgroup.procs`]: "4711\n",
  [`cg/cpu${path}/cpu.stat`]: "nr_periods 40\nnr_throttled 10\nthrottled_time 900000\nnr_bursts 0\nburst_time 0\n",
  [`cg/memory${path}/memory.usage_in_bytes`]: "50000000\n",
  [`cg/memory${path}/memory.stat`]: "cache 1\ninactive_file 3\ntotal_cache 1\ntotal_inactive_file 15000000\n",
  [`cg/memory${path}/memory.limit_in_bytes`]: "9223372036854771712\n",
  [`cg/memory${path}/memory.oom_control`]: "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
  [`cg/blkio${path}/blkio.throttle.io_service_bytes_recursive`]:
    "259:0 Read 4096\n259:0 Write 8192\n259:0 Sync 0\n259:0 Total 12288\n253:0 Read 100\n253:0 Write 200\nTotal 12588\n",
  [`cg/pids${path}/pids.current`]: "7\n",
});

const version2Mounts = "30 23 0:26 / {root}/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const version1Mounts = ["cpu", "cpuacct", "memory", "blkio", "pids"]
  .map((name, place) => `3${place} 31 0:${place} / {root}/cg/${name} rw,relatime - cgroup cgroup rw,${name}\n`)
  .join("");
const hybridMounts = `${version1Mounts}41 31 0:38 / {root}/cg/unified rw,relatime - cgroup2 cgroup2 rw\n`;

const used = {
  cpuUs: 2_500_000,
  periods: 40,
  throttledPeriods: 10,
  memoryBytes: 35_000_000,
  readBytes: 4_196,
  writtenBytes: 8_392,
  pids: 7,
  oomKills: 1,
};

describe("a container's cgroup", () => {
  it.each([
    ["cgroupfs" as const, `docker/${containerId}`],
    ["systemd" as const, `system.slice/docker-${containerId}.scope`],
  ])("is read in version 2, where the driver is %s", async (driver, path) => {
    const root = await makeMachine({ "proc/self/mountinfo": version2Mounts, ...version2Files(`cg/${path}`) });
    const mounts = readCgroupMounts(join(root, "proc"));
    const place = mounts && findContainerCgroup(mounts, driver, containerId);
    expect(place).toEqual({ version: "2", folder: join(root, "cg", path) });
    expect(place && readCgroup(place)).toEqual({ ...used, memoryLimitBytes: 100_000_000 });
    expect(place && listCgroupPids(place)).toEqual([4711, 4712]);
  });

  it("is read in version 1 beside an empty version 2; a limit that nobody set is none", async () => {
    const root = await makeMachine({ "proc/self/mountinfo": hybridMounts, ...version1Files(`/docker/${containerId}`) });
    const mounts = readCgroupMounts(join(root, "proc"));
    const place = mounts && findContainerCgroup(mounts, "cgroupfs", containerId);
    expect(place?.version).toBe("1");
    expect(place && readCgroup(place)).toEqual({ ...used, memoryLimitBytes: undefined });
    expect(place && listCgroupPids(place)).toEqual([4711]);
  });

  it("is read where one mount of version 1 holds several controllers", async () => {
    const joined = hybridMounts
      .replace(
        "{root}/cg/cpu rw,relatime - cgroup cgroup rw,cpu\n",
        "{root}/cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n",
      )
      .replace(/^.*cgroup rw,cpuacct\n/m, "");
    const files = Object.entries(version1Files(`/docker/${containerId}`));
    const moved = files.map(([path, text]) => [path.replace(/cg\/(cpu|cpuacct)\//, "cg/cpu,cpuacct/"), text]);
    const root = await makeMachine({ "proc/self/mountinfo": joined, ...Object.fromEntries(moved) });
    const mounts = readCgroupMounts(join(root, "proc"));
    const place = mounts && findContainerCgroup(mounts, "cgroupfs", containerId);
    expect(place && readCgroup(place)).toMatchObject(used);
  });

  it("is found by its process where the daemon keeps cgroups elsewhere, in both versions", async () => {
    const path = `/ci.slice/docker-${containerId}.scope`;
    const second = await makeMachine({
      "proc/self/mountinfo": version2Mounts,
      "proc/4711/cgroup": `0::${path}\n`,
      ...version2Files(`cg${path}`),
    });
    const mounts2 = readCgroupMounts(join(second, "proc"));
    expect(mounts2 && findContainerCgroup(mounts2, "cgroupfs", containerId)).toBeUndefined();
    const place2 = mounts2 && findProcessCgroup(mounts2, 4711, join(second, "proc"));
    expect(place2 && readCgroup(place2)).toMatchObject(used);

    const controllers = ["pids", "blkio", "memory", "cpuacct", "cpu"].map(
      (name, place) => `${place}:${name}:${path}\n`,
    );
    const first = await makeMachine({
      "proc/self/mountinfo": hybridMounts,
      "proc/4711/cgroup": `9:name=systemd:/\n${controllers.join("")}0::/\n`,
      ...version1Files(path),
    });
    const mounts1 = readCgroupMounts(join(first, "proc"));
    const place1 = mounts1 && findProcessCgroup(mounts1, 4711, join(first, "proc"));
    expect(place1 && readCgroup(place1)).toMatchObject(used);
  });

  it("tells what it can where controllers are missing, and nothing once it is gone", async () => {
    const folder = `cg/docker/${containerId}`;
    const files = version2Files(folder);
    const root = await makeMachine({
      "proc/self/mountinfo": version2Mounts,
      [`${folder}/cpu.stat`]: "usage_usec 2500000\n",
      [`${folder}/memory.current`]: files[`${folder}/memory.current`] ?? "",
    });
    const mounts = readCgroupMounts(join(root, "proc"));
    const place = mounts && findContainerCgroup(mounts, "cgroupfs", containerId);
    expect(place && readCgroup(place)).toMatchObject({ cpuUs: 2_500_000, memoryBytes: 50_000_000, pids: undefined });
    await rm(join(root, folder), { recursive: true });
    expect(place && readCgroup(place)).toBeUndefined();
    expect(place && listCgroupPids(place)).toEqual([]);
  });

  it("is not looked for on a machine without cgroups", async () => {
    const root = await makeMachine({ "proc/self/mountinfo": "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" });
    expect(readCgroupMounts(join(root, "proc"))).toBeUndefined();
    expect(readCgroupMounts(join(root, "nowhere"))).toBeUndefined();
  });
});
