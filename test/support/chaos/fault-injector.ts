import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseOwner } from "../../../workers/owner.ts";
import type { RunningStack } from "../local-stack.ts";
import type { PlannedFault } from "./fault-plan.ts";
import { findByRole, type ProcessEntry, type StackRole, signalProcess } from "./processes.ts";

/** A process that has to come back has so long; the supervisor's longest pause between two starts is 5 s. */
const comeBackDeadlineMs = 60_000;
const lookEveryMs = 100;

/** A worker that was killed: whose tasks have to run elsewhere. */
export interface WorkerDeath {
  workerId: string;
  atMs: number;
}

/** Kills and stops processes of one stack. */
export class FaultInjector {
  readonly #stack: RunningStack;
  readonly #paused = new Set<number>();
  readonly #resumes = new Set<Promise<void>>();
  readonly #signal: AbortSignal;
  /** Workers killed so far; those that had not made their folder yet are missing. */
  readonly deaths: WorkerDeath[] = [];
  /** Faults done so far. */
  readonly done = { kill: 0, pause: 0 };

  constructor(stack: RunningStack, signal: AbortSignal) {
    this.#stack = stack;
    this.#signal = signal;
  }

  /** Waits for a process to do it to, and does it; answers in words what was done. */
  async inflict(fault: PlannedFault): Promise<string> {
    const role = fault.kind === "pause" ? "worker" : fault.role;
    const target = await this.#waitForTarget(role, fault.pick);
    this.done[fault.kind] += 1;
    if (fault.kind === "pause") {
      this.#pause(target.pid, fault.pauseMs);
      return `SIGSTOP for ${(fault.pauseMs / 1000).toFixed(1)} s: ${role} (pid ${target.pid})`;
    }
    if (role === "worker") {
      const workerId = await findWorkerId(this.#stack.dataDir, target);
      if (workerId !== undefined) this.deaths.push({ workerId, atMs: Date.now() });
    }
    signalProcess(target.pid, "SIGKILL");
    return `kill -9: ${role} (pid ${target.pid})`;
  }

  /** Waits until every process that is stopped goes on. */
  async untilResumed(): Promise<void> {
    await Promise.all(this.#resumes);
  }

  /** Lets every stopped process go on at once; to be called when a run breaks off. */
  resumeNow(): void {
    for (const pid of this.#paused) signalProcess(pid, "SIGCONT");
    this.#paused.clear();
  }

  #pause(pid: number, pauseMs: number): void {
    signalProcess(pid, "SIGSTOP");
    this.#paused.add(pid);
    const resumed = sleep(pauseMs, undefined, { signal: this.#signal })
      .catch((error: unknown) => {
        if (!this.#signal.aborted) throw error;
      })
      .finally(() => {
        signalProcess(pid, "SIGCONT");
        this.#paused.delete(pid);
        this.#resumes.delete(resumed);
      });
    this.#resumes.add(resumed);
  }

  /** A stopped worker is left alone until it goes on: it has to outlive its lease. */
  async #waitForTarget(role: StackRole, pick: number): Promise<ProcessEntry> {
    for (const givesUpAt = Date.now() + comeBackDeadlineMs; Date.now() < givesUpAt; ) {
      const candidates = findByRole(this.#stack.pid, role).filter(({ pid }) => !this.#paused.has(pid));
      const target = candidates[Math.floor(pick * candidates.length)];
      if (target) return target;
      await sleep(lookEveryMs, undefined, { signal: this.#signal });
    }
    throw new Error(`the stack's ${role} did not come back within ${comeBackDeadlineMs / 1000} s`);
  }
}

/** The id of the worker that a process is, by the note in its folder; undefined where it has none yet. */
export async function findWorkerId(dataDir: string, { pid, startTicks }: ProcessEntry): Promise<string | undefined> {
  const workDir = join(dataDir, "work");
  for (const name of await listFolder(workDir)) {
    const owner = parseOwner(await readIfThere(join(workDir, name, "owner")));
    if (owner?.pid === pid && owner.startTicks === startTicks) return name;
  }
  return undefined;
}

/** The names in a folder; a folder that is not there has none. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code))) return "";
    throw error;
  }
}
