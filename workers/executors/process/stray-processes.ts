import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { setImmediate as yieldToOthers } from "node:timers/promises";
import { sleep } from "../../retry.ts";

/** Requests that come within this time share one look at all processes. */
const batchMs = 200;
/** Together they take about a millisecond, for which nothing else happens in the worker. */
const readAtOnce = 64;

/**
 * Kills processes that left their step's process group (`setsid`, daemons) and would outlive it. They are known by
 * `SLUICE_WORKSPACE` in their environment, which they inherit; one that cleans its environment escapes.
 */
export class StraySweeper {
  #folders = new Set<string>();
  #sweep: Promise<void> | undefined;

  /** Resolves when no process that was started in the workspace is left. */
  async sweep(folder: string): Promise<void> {
    this.#folders.add(folder);
    this.#sweep ??= sleep(batchMs).then(() => {
      const folders = this.#folders;
      this.#folders = new Set();
      this.#sweep = undefined;
      return killProcessesOf(folders);
    });
    await this.#sweep;
  }
}

/**
 * Tells whether a process group has members that still run. Dead ones that nobody has reaped keep a group in being;
 * a first process that reaps late must not hold up the end of a step.
 */
export async function isGroupAlive(group: number): Promise<boolean> {
  if (!killQuietly(-group, 0)) return false;
  const pids = await listPids();
  if (pids.length === 0) return true;
  for (const pid of pids) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // After the name in brackets: state, parent, process group.
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(processGroup) === group && state !== "Z" && state !== "X") return true;
  }
  return false;
}

async function listPids(): Promise<string[]> {
  return (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
}

/** What starts others while it is looked for can be missed by a look, but not by that many. */
const maxLooks = 5;

/** Kills every process whose workspace is one of the folders or inside one; on systems without /proc it finds none. */
export async function killProcessesOf(folders: Iterable<string>): Promise<void> {
  const prefixes = [...folders].map((folder) => `SLUICE_WORKSPACE=${folder}`);
  for (let looks = 0; looks < maxLooks; looks++) {
    if ((await killOnce(prefixes)) === 0) return;
  }
}

/** Tells how many it found that were still there to be killed. */
async function killOnce(prefixes: readonly string[]): Promise<number> {
  let killed = 0;
  const pids = await listPids();
  for (let start = 0; start < pids.length; start += readAtOnce) {
    for (const pid of pids.slice(start, start + readAtOnce)) {
      const ours = readEnvironment(pid)
        .split("\0")
        .some((variable) => prefixes.some((prefix) => variable === prefix || variable.startsWith(`${prefix}/`)));
      if (ours && Number(pid) !== process.pid && killQuietly(Number(pid), "SIGKILL")) killed++;
    }
    await yieldToOthers();
  }
  return killed;
}

/** Read at once: the kernel answers from memory, and a wait for each costs five times what is waited for. */
function readEnvironment(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch (error) {
    // Processes of other users cannot be read, and some end meanwhile: not ours to kill either way.
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}

/** Sends a signal to a process, or to a group by its negative id; false where there is none. */
export function killQuietly(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM")) return false;
    throw error;
  }
}
