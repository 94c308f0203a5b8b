import { statfs } from "node:fs/promises";
import { type CpuInfo, cpus, freemem, totalmem } from "node:os";

/** What a machine has and uses; the disk is the one under the worker's folders. */
export interface HostSample {
  /** Of all its cores since the sample before, 0 to 1; what other machines on the same hardware took is not told. */
  cpu: number;
  /** `used` is what could not be given to a program at once: caches are free. */
  memoryBytes: { used: number; total: number };
  /** `free` is what a user that is not root may write. */
  diskBytes: { free: number; total: number };
}

/** Takes samples of the machine under a worker. Who needs them in a rhythm of its own has a sampler of its own. */
export interface HostSampler {
  /** Throws where the disk under the folder cannot be asked. */
  sample(): Promise<HostSample>;
}

/** Where a sampler asks; all but the folder are for tests. */
export interface HostSources {
  /** A folder on the disk that is told of. */
  folder: string;
  readCpus?: () => readonly Pick<CpuInfo, "times">[];
  readMemory?: () => { free: number; total: number };
}

/** Counters of the kernel move in steps of 10 ms: shares of less time than this mean nothing. */
const shortestMs = 100;

/** A sampler whose first sample tells of the time since it was made. */
export function createHostSampler({ folder, readCpus = cpus, readMemory = askMemory }: HostSources): HostSampler {
  let before = sumTimes(readCpus());
  let cpu = 0;
  return {
    async sample() {
      const now = sumTimes(readCpus());
      const cores = Math.max(1, now.cores);
      if (now.totalMs - before.totalMs >= shortestMs * cores) {
        cpu = 1 - Math.min(1, Math.max(0, now.idleMs - before.idleMs) / (now.totalMs - before.totalMs));
        before = now;
      } else if (now.totalMs < before.totalMs) {
        // A core was taken offline, and its times with it.
        before = now;
      }
      const memory = readMemory();
      // A file system without inodes or blocks left still answers; one that hangs is for the caller's deadline.
      const { bsize, blocks, bavail } = await statfs(folder);
      return {
        cpu,
        memoryBytes: { used: memory.total - memory.free, total: memory.total },
        diskBytes: { free: countable(bavail * bsize), total: countable(blocks * bsize) },
      };
    },
  };
}

/** Network file systems tell of 2^63 bytes, which nobody who counts in whole numbers takes. */
function countable(bytes: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, bytes);
}

/** On Linux the free memory includes what caches would give up. */
function askMemory(): { free: number; total: number } {
  return { free: freemem(), total: totalmem() };
}

function sumTimes(cores: readonly Pick<CpuInfo, "times">[]): { idleMs: number; totalMs: number; cores: number } {
  let idleMs = 0;
  let totalMs = 0;
  for (const { times } of cores) {
    idleMs += times.idle;
    totalMs += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idleMs, totalMs, cores: cores.length };
}
