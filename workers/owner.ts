import { readFile, readlink } from "node:fs/promises";
import { hostname } from "node:os";

/**
 * Which process something belongs to, in a form that no later process can be taken for: the boot of the machine, the
 * pid namespace, the pid, and when the process with that pid started (in clock ticks since boot).
 */
export interface Owner {
  bootId: string;
  pidNamespace: string;
  pid: number;
  startTicks: string;
}

/** Whether the owner still runs; `unknown` where another pid namespace hides the answer. */
export type OwnerState = "alive" | "dead" | "unknown";

/** The owner that a process of this pid namespace is, by default this one. */
export async function readOwner(pid = process.pid): Promise<Owner> {
  return {
    bootId: await readText("/proc/sys/kernel/random/boot_id", hostname()),
    pidNamespace: await readlink("/proc/self/ns/pid").catch(() => "host"),
    pid,
    startTicks: (await readStartTicks(pid)) ?? "0",
  };
}

/** The owner as one word, for labels and lock files. */
export function formatOwner(owner: Owner): string {
  return [owner.bootId, owner.pidNamespace, owner.pid, owner.startTicks].join(",");
}

/** Reads what `formatOwner` wrote; undefined where the text is something else. */
export function parseOwner(text: string): Owner | undefined {
  const [bootId, pidNamespace, pid, startTicks, ...rest] = text.trim().split(",");
  if (!bootId || !pidNamespace || !pid || !startTicks || rest.length > 0 || !/^\d+$/.test(pid)) return undefined;
  return { bootId, pidNamespace, pid: Number(pid), startTicks };
}

/** Finds out whether an owner still runs, as seen by the process `own`. */
export async function checkOwner(owner: Owner, own: Owner): Promise<OwnerState> {
  if (owner.bootId !== own.bootId) return "dead";
  if (owner.pidNamespace !== own.pidNamespace) return "unknown";
  const startTicks = await readStartTicks(owner.pid);
  if (startTicks !== undefined) return startTicks === owner.startTicks ? "alive" : "dead";
  // No such process, or a system without /proc: there the signal is all there is to ask with.
  if (owner.startTicks !== "0") return "dead";
  try {
    process.kill(owner.pid, 0);
    return "alive";
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM" ? "alive" : "dead";
  }
}

/** Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets, so fields count from its end. */
async function readStartTicks(pid: number): Promise<string | undefined> {
  const stat = await readText(`/proc/${pid}/stat`, "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // A zombie holds its pid but is over.
  return stat === "" || fields[0] === "Z" ? undefined : fields[19];
}

async function readText(path: string, fallback: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (error instanceof Error && "code" in error) return fallback;
    throw error;
  }
}
