import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How a child process ended: by exit code or by signal, never both. */
export type ChildExit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** What to run and who hears what it prints. */
export type BoundChildOptions = {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Called for every line the child prints, on either stream. */
  readonly onLine?: (line: string) => void;
};

/** A native child process that cannot outlive this one; `pid` is the command's own, not a wrapper's. */
export type BoundChild = {
  readonly pid: number;
  readonly exited: Promise<ChildExit>;
  /** Sends SIGTERM, after `graceMs` SIGKILL, and resolves once the child is gone. */
  stop(graceMs?: number): Promise<ChildExit>;
};

/**
 * The shell turns itself into the command (`exec`) and leaves a watcher beside it. Two pipes tie the three together:
 *
 * - fd 0 ends when this process dies, however it dies. The watcher then kills the command with SIGKILL.
 * - fd 3 is written by nobody and held open by the watcher alone, so it ends when the watcher dies. This process then
 *   ends the command, which would otherwise run unwatched.
 *
 * When the command dies by itself its pid may be given to another process at any time; this process reaps it, so it
 * is the one to tell the watcher ("over") that there is nothing left to kill.
 */
const BOUND_SCRIPT = `
exec 4<&0 </dev/null
pid=$$
(
  exec >/dev/null 2>&1
  while read -r word <&4; do
    if [ "$word" = over ]; then exit 0; fi
  done
  kill -9 "$pid"
) &
exec 3>&- 4<&-
exec "$@"
`;

const DEFAULT_GRACE_MS = 5_000;

/** Runs a native command that is gone as soon as this process is, also after `kill -9` of either of them. */
export async function spawnBoundChild(options: BoundChildOptions): Promise<BoundChild> {
  const child = spawn("/bin/sh", ["-c", BOUND_SCRIPT, "sh", options.command, ...options.args], {
    // A session of its own: Ctrl-C in the terminal ends this process in its own order, not the database under it.
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.command} has no process id`);
  const exited = watchExit(child);
  readLines(child, options.onLine);
  return { pid, exited, stop: (graceMs = DEFAULT_GRACE_MS) => stopChild(child, exited, graceMs) };
}

function watchExit(child: ChildProcess): Promise<ChildExit> {
  const lifeline = child.stdin;
  const watcherAlive = child.stdio[3];
  // A write to a watcher that is already gone is no fault: the command is over in that case too.
  lifeline?.on("error", () => undefined);
  watcherAlive?.on("end", () => child.kill("SIGKILL"));
  watcherAlive?.on("error", () => child.kill("SIGKILL"));
  if (watcherAlive !== null && watcherAlive !== undefined && "resume" in watcherAlive) watcherAlive.resume();
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      lifeline?.end("over\n");
      resolve({ code, signal });
    });
  });
}

function readLines(child: ChildProcess, onLine: ((line: string) => void) | undefined): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    if (onLine === undefined) stream.resume();
    else createInterface({ input: stream }).on("line", onLine);
  }
}

async function stopChild(child: ChildProcess, exited: Promise<ChildExit>, graceMs: number): Promise<ChildExit> {
  child.kill("SIGTERM");
  const killTimer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  try {
    return await exited;
  } finally {
    clearTimeout(killTimer);
  }
}
