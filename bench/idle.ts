import { setTimeout as sleep } from "node:timers/promises";
import type { RunningStack } from "../test/support/local-stack.ts";
import { readCpuMs, readMegabytes } from "./support/process-stats.ts";
import type { Figure } from "./support/statistics.ts";

/** Resident memory and CPU of each process of an idle stack (Linux). */
export async function measureIdle(stack: RunningStack, seconds: number): Promise<Figure[]> {
  const pids = Object.entries({ main: stack.pid, ...stack.pids });
  const before = pids.map(([, pid]) => readCpuMs(pid));
  await sleep(seconds * 1000);
  let megabytes = 0;
  let percent = 0;
  const figures = pids.map(([name, pid], index) => {
    const cpu = ((readCpuMs(pid) - (before[index] ?? 0)) / (seconds * 1000)) * 100;
    const memory = readMegabytes(pid);
    megabytes += memory;
    percent += cpu;
    return { name: `idle ${name}`, value: `${memory.toFixed(0)} MiB, ${cpu.toFixed(1)} % of a core` };
  });
  return [...figures, { name: "idle stack", value: `${megabytes.toFixed(0)} MiB, ${percent.toFixed(1)} % of a core` }];
}
