import { readdirSync, readFileSync } from "node:fs";

/** A process as /proc shows it. `startTicks` tells it from a later one with the same pid. */
export interface ProcessEntry {
  pid: number;
  parent: number;
  startTicks: string;
  /** The program and its arguments, separated by spaces. */
  command: string;
}

/** Parts of a local stack that run as processes of their own. */
export const stackRoles = ["worker", "functions", "cloud", "dynamodb"] as const;
export type StackRole = (typeof stackRoles)[number];

const signs: Record<StackRole, RegExp> = {
  worker: /\/workers\/main\.ts$/,
  functions: /\/local\/functions-main\.ts$/,
  cloud: /\/local\/cloud-main\.ts$/,
  dynamodb: /dynoxide\S* serve /,
};

/** All processes that run right now; those that are dead and only not reaped yet do not count. */
export function listProcesses(): ProcessEntry[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const entries = pids.map((pid) => readProcess(Number(pid)));
  return entries.filter((entry) => entry !== undefined);
}

function readProcess(pid: number): ProcessEntry | undefined {
  const stat = readProcFile(pid, "stat");
  const command = readProcFile(pid, "cmdline");
  // After the name, which may hold spaces and brackets: state, parent … and as the 20th the start time.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent] = fields;
  if (stat === "" || state === "Z" || state === "X") return undefined;
  return {
    pid,
    parent: Number(parent),
    startTicks: fields[19] ?? "",
    command: command.replaceAll("\0", " ").trimEnd(),
  };
}

/**
 * Processes end while they are looked at, and those of other users keep some files to themselves: nothing to see then.
 * Read at once: the kernel answers from memory, and a look at all processes several times a second must cost little.
 */
function readProcFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}

/** The process of a stack's supervisor and everything below it. */
export function listFamily(processes: readonly ProcessEntry[], supervisorPid: number): ProcessEntry[] {
  const byParent = Map.groupBy(processes, (entry) => entry.parent);
  const family = processes.filter((entry) => entry.pid === supervisorPid);
  for (const member of family) family.push(...(byParent.get(member.pid) ?? []));
  return family;
}

/** The processes of one role that the supervisor of a stack has running right now, the oldest first. */
export function findByRole(supervisorPid: number, role: StackRole): ProcessEntry[] {
  const processes = listProcesses();
  return processes
    .filter((entry) => entry.parent === supervisorPid && signs[role].test(entry.command))
    .sort((a, b) => Number(a.startTicks) - Number(b.startTicks) || a.pid - b.pid);
}

/** Processes that say by their arguments or environment that they belong to a data folder. */
export function findProcessesOf(dataDir: string): ProcessEntry[] {
  const found: ProcessEntry[] = [];
  for (const entry of listProcesses()) {
    if (entry.pid === process.pid) continue;
    const environment = readProcFile(entry.pid, "environ");
    if (entry.command.includes(dataDir) || environment.includes(dataDir)) found.push(entry);
  }
  return found;
}

/** Sends a signal; false where the process is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

/**
 * Remembers every process that a stack ever had below it, so that the end can tell which of them still run. What has no
 * trace of its stack on it, such as a guardian whose worker was killed, is found this way only.
 */
export class FamilyRecord {
  readonly #supervisorPid: number;
  readonly #seen = new Map<string, ProcessEntry>();
  #timer: NodeJS.Timeout | undefined;

  constructor(supervisorPid: number) {
    this.#supervisorPid = supervisorPid;
  }

  /** Looks now, and from now on every `everyMs` milliseconds. */
  start(everyMs: number): void {
    this.#timer = setInterval(() => this.look(), everyMs);
    this.look();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  look(): void {
    const family = listFamily(listProcesses(), this.#supervisorPid);
    for (const entry of family) this.#seen.set(`${entry.pid}/${entry.startTicks}`, entry);
  }

  /** Those of the remembered that run right now. */
  listAlive(): ProcessEntry[] {
    const processes = listProcesses();
    return processes.filter((entry) => this.#seen.has(`${entry.pid}/${entry.startTicks}`));
  }
}
