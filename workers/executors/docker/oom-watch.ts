import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const cgroupRoot = "/sys/fs/cgroup";
/** Version 1 of cgroups tells of no change to a counter by itself. */
const defaultPollMs = 1_000;

/** How a daemon keeps the cgroups of its containers, as `docker info` tells it. */
export interface CgroupSetup {
  version: "1" | "2";
  driver: "cgroupfs" | "systemd";
}

/** The file in which the kernel counts the processes of a container that it killed for lack of memory. */
export function locateOomCounter({ version, driver }: CgroupSetup, containerId: string): string {
  const cgroup = driver === "systemd" ? `system.slice/docker-${containerId}.scope` : `docker/${containerId}`;
  return version === "2"
    ? join(cgroupRoot, cgroup, "memory.events")
    : join(cgroupRoot, "memory", cgroup, "memory.oom_control");
}

/** The number of killed processes in `memory.events` (cgroups 2) or `memory.oom_control` (1); 0 where it is not told. */
export function parseOomKills(text: string): number {
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}

/**
 * Watches the kernel's count of a running container, which is gone with it. It holds kills that the daemon may not
 * tell: of a child that its parent outlives, and for lack of memory in the whole machine. Where the file cannot be
 * read (the daemon is elsewhere, or keeps its cgroups elsewhere) it sees nothing, and the daemon's word is all there is.
 */
export class OomWatch {
  readonly #file: string;
  readonly #watcher: FSWatcher | undefined;
  readonly #timer: NodeJS.Timeout;
  #hasSeenKill = false;

  constructor(file: string, pollMs = defaultPollMs) {
    this.#file = file;
    this.#watcher = openWatcher(file, () => void this.#read());
    this.#timer = setInterval(() => void this.#read(), pollMs).unref();
    void this.#read();
  }

  /** Whether the kernel was seen to kill a process of the container for lack of memory. */
  get hasSeenKill(): boolean {
    return this.#hasSeenKill;
  }

  close(): void {
    this.#watcher?.close();
    clearInterval(this.#timer);
  }

  async #read(): Promise<void> {
    try {
      if (parseOomKills(await readFile(this.#file, "utf8")) === 0) return;
      this.#hasSeenKill = true;
      this.close();
    } catch {
      // The container has ended, and its cgroup with it.
      this.close();
    }
  }
}

/** Undefined where the file is not there, or the machine has no watches left. */
function openWatcher(file: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(file, { persistent: false }, onChange);
    return watcher.on("error", () => watcher.close());
  } catch {
    return undefined;
  }
}
