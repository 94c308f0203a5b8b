import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";

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
 * The shell turns itself into the command (`exec`) and leaves a watcher beside it. One socket ties the watcher to this
 * process, and nobody else holds an end of it:
 *
 * - it ends for the watcher when this process dies, however it dies. The watcher then kills the command with SIGKILL.
 * - it ends for this process when the watcher dies. This process then ends the command, which would run unwatched.
 *
 * When the command dies by itself its pid may be given to another process at any time; this process reaps it, so it
 * is the one to tell the watcher ("over") that there is nothing left to kill. The socket is not the child's stdin, as
 * Node closes that before it tells anybody that the child is gone.
 */
const BOUND_SCRIPT = `
pid=$$
(
  exec </dev/null >/dev/null 2>&1
  while read -r word <&3; do
    if [ "$word" = over ]; then exit 0; fi
  done
  kill -9 "$pid"
) &
exec 3>&-
exec "$@"
`;

const DEFAULT_GRACE_MS = 5_000;

/** Runs a native command that is gone as soon as this process is, also after `kill -9` of either of them. */
export async function spawnBoundChild(options: BoundChildOptions): Promise<BoundChild> {
  const child = spawn("/bin/sh", ["-c", BOUND_SCRIPT, "sh", options.command, ...options.args], {
    // A session of its own: Ctrl-C in the terminal ends this process in its own order, not the database under it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
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
  const watcher = child.stdio[3];
  if (!(watcher instanceof Duplex)) throw new Error("the child has no socket to its watcher");
  watcher.on("end", () => child.kill("SIGKILL"));
  // Broken either way: without its watcher the command must not run on, and a dead command needs no word.
  watcher.on("error", () => child.kill("SIGKILL"));
  watcher.resume();
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      watcher.end("over\n");
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
