import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

type ProcessRow = {
  readonly pid: number;
  readonly parentPid: number;
  readonly groupId: number;
  readonly zombie: boolean;
};

function listProcesses(): ProcessRow[] {
  const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid=,pgid=,stat="], { encoding: "utf8" }).trim().split("\n");
  return rows.map((row) => {
    const [pid, parentPid, groupId, state] = row.trim().split(/\s+/);
    return {
      pid: Number(pid),
      parentPid: Number(parentPid),
      groupId: Number(groupId),
      zombie: state?.startsWith("Z") === true,
    };
  });
}

/** Pids of a process's living children. */
export function findChildren(parentPid: number): number[] {
  return listProcesses()
    .filter((row) => row.parentPid === parentPid && !row.zombie)
    .map((row) => row.pid);
}

/** The process group, which Ctrl-C in a terminal reaches as a whole. */
export function findGroup(pid: number): number | undefined {
  return listProcesses().find((row) => row.pid === pid)?.groupId;
}

/** False once a process has ended, also while nobody has collected its exit code. */
export function isRunning(pid: number): boolean {
  return listProcesses().some((row) => row.pid === pid && !row.zombie);
}

/** Waits for a condition; the error after the deadline says what did not come. */
export async function waitUntil(what: string, condition: () => boolean, deadlineMs = 10_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await sleep(20);
  }
}
