import { readFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../shared/error-code.ts";
import type { Usage } from "./usage.ts";

/**
 * Where the files of one cgroup are: in one folder (version 2), or in one for each controller (version 1), of which some
 * may be missing on a machine.
 */
export type CgroupPlace =
  | { version: "2"; folder: string }
  | { version: "1"; folders: Partial<Record<CgroupController, string>> };

/** Controllers of version 1 that are asked. */
export const cgroupControllers = ["cpuacct", "cpu", "memory", "blkio", "pids"] as const;
export type CgroupController = (typeof cgroupControllers)[number];

/** A limit of version 1 that nobody set is the largest number of pages. */
const unlimitedBytes = 2 ** 62;

/** Reads a cgroup's counters; undefined where the cgroup is gone. */
export function readCgroup(place: CgroupPlace): Usage | undefined {
  return place.version === "2" ? readVersion2(place.folder) : readVersion1(place.folders);
}

/** The processes of a cgroup; none where it is gone. Processes that are out of this process's sight are listed as 0. */
export function listCgroupPids(place: CgroupPlace): number[] {
  const folder = place.version === "2" ? place.folder : Object.values(place.folders)[0];
  const text = folder === undefined ? undefined : readText(folder, "cgroup.procs");
  return (text ?? "")
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

function readVersion2(folder: string): Usage | undefined {
  const cpu = readText(folder, "cpu.stat");
  const memory = readText(folder, "memory.current");
  if (cpu === undefined || memory === undefined) return undefined;
  const io = readText(folder, "io.stat");
  return {
    cpuUs: readValue(cpu, "usage_usec") ?? 0,
    periods: readValue(cpu, "nr_periods"),
    throttledPeriods: readValue(cpu, "nr_throttled"),
    memoryBytes: workingSet(Number(memory), readValue(readText(folder, "memory.stat"), "inactive_file")),
    memoryLimitBytes: limitOf(readText(folder, "memory.max")),
    readBytes: io === undefined ? undefined : sumOf(io, /\brbytes=(\d+)/g),
    writtenBytes: io === undefined ? undefined : sumOf(io, /\bwbytes=(\d+)/g),
    pids: numberOf(readText(folder, "pids.current")),
    oomKills: readValue(readText(folder, "memory.events"), "oom_kill"),
  };
}

function readVersion1(folders: Partial<Record<CgroupController, string>>): Usage | undefined {
  const read = (controller: CgroupController, file: string) => {
    const folder = folders[controller];
    return folder === undefined ? undefined : readText(folder, file);
  };
  const cpuNs = read("cpuacct", "cpuacct.usage");
  const memory = read("memory", "memory.usage_in_bytes");
  if (cpuNs === undefined || memory === undefined) return undefined;
  const cpu = read("cpu", "cpu.stat");
  const io =
    read("blkio", "blkio.throttle.io_service_bytes_recursive") ?? read("blkio", "blkio.throttle.io_service_bytes");
  return {
    cpuUs: Number(cpuNs) / 1000,
    periods: readValue(cpu, "nr_periods"),
    throttledPeriods: readValue(cpu, "nr_throttled"),
    memoryBytes: workingSet(Number(memory), readValue(read("memory", "memory.stat"), "total_inactive_file")),
    memoryLimitBytes: limitOf(read("memory", "memory.limit_in_bytes")),
    readBytes: io === undefined ? undefined : sumOf(io, /^\d+:\d+ Read (\d+)$/gm),
    writtenBytes: io === undefined ? undefined : sumOf(io, /^\d+:\d+ Write (\d+)$/gm),
    pids: numberOf(read("pids", "pids.current")),
    oomKills: readValue(read("memory", "memory.oom_control"), "oom_kill"),
  };
}

/** File pages that were not used lately are the kernel's to take back; the two counters are not read at one moment. */
export function workingSet(bytes: number, inactiveFileBytes = 0): number {
  return Math.max(0, bytes - inactiveFileBytes);
}

/** `max`, nothing and the largest number there is mean the same: no limit. */
function limitOf(text: string | undefined): number | undefined {
  const limit = numberOf(text);
  return limit !== undefined && limit < unlimitedBytes ? limit : undefined;
}

function numberOf(text: string | undefined): number | undefined {
  const value = Number.parseInt(text ?? "", 10);
  return Number.isNaN(value) ? undefined : value;
}

/** The value of a line `name value`. */
function readValue(text: string | undefined, name: string): number | undefined {
  const line = `\n${text ?? ""}`;
  const at = line.indexOf(`\n${name} `);
  return at < 0 ? undefined : numberOf(line.slice(at + name.length + 2));
}

function sumOf(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, value]) => sum + Number(value), 0);
}

/**
 * Read at once: the kernel answers from memory, and a wait for each file costs several times what is waited for.
 * Undefined where the file is not there, or its cgroup went while it was read.
 */
function readText(folder: string, name: string): string | undefined {
  try {
    return readFileSync(join(folder, name), "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENODEV", "EOPNOTSUPP", "EACCES")) return undefined;
    throw error;
  }
}
