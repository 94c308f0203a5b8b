import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as yieldToOthers } from "node:timers/promises";
import { hasCode } from "../../shared/error-code.ts";
import type { Usage, UsageSource } from "./usage.ts";

/** Clock ticks a second, and bytes of a page, as /proc counts them on Linux. */
const ticksPerSecond = 100;
const pageBytes = 4096;
/** Sources that are read within this time share one look at all processes. */
const sharedMs = 500;
/** Together they take about a millisecond, for which nothing else happens in the worker. */
const readAtOnce = 64;

interface ProcessEntry {
  pid: number;
  parent: number;
  group: number;
  /** User and system time, also of its children that have ended and were waited for. */
  ticks: number;
  threads: number;
  /** Tells it from a later process of the same number. */
  startTicks: number;
  residentPages: number;
}

/** All processes of the machine, looked at once for all who ask at about the same time. */
export class ProcessTable {
  readonly procFolder: string;
  readonly #nowMs: () => number;
  #entries: Promise<ReadonlyMap<number, ProcessEntry>> | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(procFolder = "/proc", nowMs: () => number = () => performance.now()) {
    this.procFolder = procFolder;
    this.#nowMs = nowMs;
  }

  read(): Promise<ReadonlyMap<number, ProcessEntry>> {
    const nowMs = this.#nowMs();
    if (this.#entries === undefined || nowMs - this.#readAtMs > sharedMs) {
      this.#readAtMs = nowMs;
      this.#entries = readEntries(this.procFolder);
    }
    return this.#entries;
  }
}

async function readEntries(procFolder: string): Promise<Map<number, ProcessEntry>> {
  const pids = listPids(procFolder);
  const entries = new Map<number, ProcessEntry>();
  for (let start = 0; start < pids.length; start += readAtOnce) {
    for (const pid of pids.slice(start, start + readAtOnce)) {
      const entry = parseStat(Number(pid), readQuietly(join(procFolder, pid, "stat")));
      if (entry !== undefined) entries.set(entry.pid, entry);
    }
    await yieldToOthers();
  }
  return entries;
}

/** None on systems without /proc. */
function listPids(procFolder: string): string[] {
  try {
    return readdirSync(procFolder).filter((name) => /^\d+$/.test(name));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

/** The name in field 2 may hold spaces and brackets, so fields count from its end. */
function parseStat(pid: number, text: string): ProcessEntry | undefined {
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const at = (field: number) => Number(fields[field - 3]);
  if (text === "" || Number.isNaN(at(24))) return undefined;
  return {
    pid,
    parent: at(4),
    group: at(5),
    ticks: at(14) + at(15) + at(16) + at(17),
    threads: at(20),
    startTicks: at(22),
    residentPages: at(24),
  };
}

/**
 * What a step on the host uses: its process group, what it has started since, and what was seen to be its own once,
 * whoever its parent is by now. Memory that processes share counts at each. Limits and a network of its own it has not.
 */
export class ProcessTreeUsage implements UsageSource {
  readonly #table: ProcessTable;
  readonly #leader: number;
  /** Members so far, each with when it started and what it had used when it was seen last. */
  readonly #members = new Map<number, { startTicks: number; counters: Counters }>();
  readonly #total: Counters = { ticks: 0, readBytes: 0, writtenBytes: 0 };

  constructor(table: ProcessTable, leader: number) {
    this.#table = table;
    this.#leader = leader;
  }

  async read(): Promise<Usage | undefined> {
    const entries = await this.#table.read();
    const members = this.#findMembers(entries);
    if (members.length === 0) return undefined;
    const before = sumCounters([...this.#members.values()].map(({ counters }) => counters));
    this.#members.clear();
    for (const entry of members) {
      const counters = { ticks: entry.ticks, ...readIo(join(this.#table.procFolder, String(entry.pid), "io")) };
      this.#members.set(entry.pid, { startTicks: entry.startTicks, counters });
    }
    const now = sumCounters([...this.#members.values()].map(({ counters }) => counters));
    // What an ended child has used is its parent's, if that waited for it; else the sum falls, and less is told.
    for (const name of ["ticks", "readBytes", "writtenBytes"] as const) {
      this.#total[name] += Math.max(0, now[name] - before[name]);
    }
    return {
      cpuUs: (this.#total.ticks * 1_000_000) / ticksPerSecond,
      memoryBytes: members.reduce((sum, { residentPages }) => sum + residentPages * pageBytes, 0),
      readBytes: this.#total.readBytes,
      writtenBytes: this.#total.writtenBytes,
      pids: members.reduce((sum, { threads }) => sum + threads, 0),
    };
  }

  #findMembers(entries: ReadonlyMap<number, ProcessEntry>): ProcessEntry[] {
    const verdicts = new Map<number, boolean>();
    const isMember = (entry: ProcessEntry): boolean => {
      const known = verdicts.get(entry.pid);
      if (known !== undefined) return known;
      // Against a loop: the table is not read at one moment.
      verdicts.set(entry.pid, false);
      const parent = entries.get(entry.parent);
      const verdict =
        entry.group === this.#leader ||
        this.#members.get(entry.pid)?.startTicks === entry.startTicks ||
        (parent !== undefined && isMember(parent));
      verdicts.set(entry.pid, verdict);
      return verdict;
    };
    return [...entries.values()].filter(isMember);
  }
}

interface Counters {
  ticks: number;
  readBytes: number;
  writtenBytes: number;
}

function sumCounters(all: readonly Counters[]): Counters {
  const sum = (pick: (counters: Counters) => number) => all.reduce((total, counters) => total + pick(counters), 0);
  return {
    ticks: sum(({ ticks }) => ticks),
    readBytes: sum(({ readBytes }) => readBytes),
    writtenBytes: sum(({ writtenBytes }) => writtenBytes),
  };
}

/** What went to and came from disks. Of processes of other users it is not told. */
function readIo(path: string): Pick<Counters, "readBytes" | "writtenBytes"> {
  const text = readQuietly(path);
  const find = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  return { readBytes: find("read_bytes"), writtenBytes: find("write_bytes") };
}

/** Processes end while they are looked at. */
function readQuietly(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return "";
    throw error;
  }
}
