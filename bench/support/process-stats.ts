import { readFileSync } from "node:fs";

/** Clock ticks a second in /proc (USER_HZ of Linux). */
const ticksPerSecond = 100;

/** CPU time, user and system, that a process has used so far, in milliseconds (Linux). */
export function readCpuMs(pid: number): number {
  // Fields 14 and 15 (user and system time) behind the name in brackets, which may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}

/** Resident memory of a process in MiB (Linux). */
export function readMegabytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return (pages * 4096) / 1024 / 1024;
}
