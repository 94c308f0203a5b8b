import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningStack } from "../test/support/local-stack.ts";
import type { Figure } from "./support/statistics.ts";

/** Clock ticks a second in /proc (USER_HZ of Linux). */
const ticksPerSecond = 100;

/** Resident memory and CPU of each process of an idle stack (Linux). */
export async function measureIdle(stack: RunningStack, seconds: number): Promise<Figure[]> {
  const pids = Object.entries({ main: stack.pid, ...stack.pids });
  const before = pids.map(([, pid]) => readTicks(pid));
  await sleep(seconds * 1000);
  let megabytes = 0;
  let percent = 0;
  const figures = pids.map(([name, pid], index) => {
    const cpu = ((readTicks(pid) - (before[index] ?? 0)) / ticksPerSecond / seconds) * 100;
    const memory = readMegabytes(pid);
    megabytes += memory;
    percent += cpu;
    return { name: `idle ${name}`, value: `${memory.toFixed(0)} MiB, ${cpu.toFixed(1)} % of a core` };
  });
  return [...figures, { name: "idle stack", value: `${megabytes.toFixed(0)} MiB, ${percent.toFixed(1)} % of a core` }];
}

function readTicks(pid: number): number {
  // Fields 14 and 15 (user and system time) behind the name in brackets, which may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

function readMegabytes(pid: number): number {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  return (pages * 4096) / 1024 / 1024;
}
