import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";

/** What a command of a template printed, or why there is nothing to use. */
export type CommandResult = { ok: true; stdout: string } | { ok: false; message: string };

/** Runs one program to its end; never rejects. */
export type RunCommand = (program: string, args: readonly string[]) => Promise<CommandResult>;

export interface CommandRunnerOptions {
  /** Folder of the job file; commands run in it. */
  folder: string;
  env: NodeJS.ProcessEnv;
  /** Longest time for one command; a minute if absent. */
  timeoutMs?: number;
  /** Bytes a command may print; 1 MiB if absent. */
  maxOutputBytes?: number;
  /** Gets what a command prints to stderr, as it comes. */
  onErrorOutput?: (text: string) => void;
  /** Ends running commands when aborted. They have no terminal, so a Ctrl-C reaches them only through this. */
  signal?: AbortSignal;
}

const maxErrorBytes = 64 * 1024;

/** The runner behind the `shell` and `exec` filters: bounded in time and output, whole process groups ended. */
export function createCommandRunner(options: CommandRunnerOptions): RunCommand {
  const { timeoutMs = 60_000, maxOutputBytes = 1024 * 1024 } = options;
  return (program, args) => runProgram(program, args, { ...options, timeoutMs, maxOutputBytes });
}

type Child = ChildProcessByStdio<null, Readable, Readable>;
type RunLimits = CommandRunnerOptions & { timeoutMs: number; maxOutputBytes: number };

async function runProgram(program: string, args: readonly string[], limits: RunLimits): Promise<CommandResult> {
  if (limits.signal?.aborted) return { ok: false, message: "was interrupted" };
  let child: Child;
  try {
    // A session of its own: its whole group can be ended, and a password prompt fails instead of waiting for ever.
    child = spawn(program, args, {
      cwd: limits.folder,
      env: limits.env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    // Arguments that no program can take: too many, too long.
    return { ok: false, message: `cannot start: ${error instanceof Error ? error.message : String(error)}` };
  }
  return watchProgram(child, program, limits);
}

function watchProgram(child: Child, program: string, limits: RunLimits): Promise<CommandResult> {
  const { promise, resolve } = Promise.withResolvers<CommandResult>();
  let isSettled = false;

  /** Settles at once, also while something that escaped the group still holds the pipes. */
  function settle(result: CommandResult): void {
    if (isSettled) return;
    isSettled = true;
    clearTimeout(timer);
    limits.signal?.removeEventListener("abort", interrupt);
    if (!result.ok) endGroup(child.pid);
    child.stdout.destroy();
    child.stderr.destroy();
    resolve(result);
  }

  const fail = (message: string) => settle({ ok: false, message });
  const interrupt = () => fail("was interrupted");
  const stdout = collect(child.stdout, limits.maxOutputBytes, () =>
    fail(`printed more than ${limits.maxOutputBytes} bytes`),
  );
  const stderr = collect(child.stderr, maxErrorBytes);
  if (limits.onErrorOutput !== undefined) child.stderr.setEncoding("utf8").on("data", limits.onErrorOutput);
  const timer = setTimeout(() => fail(`took longer than ${limits.timeoutMs / 1000} s and was ended`), limits.timeoutMs);
  limits.signal?.addEventListener("abort", interrupt, { once: true });
  child.on("error", (error) => fail(explainSpawnError(error, program, limits.folder)));
  child.on("close", (exitCode, signal) => {
    if (exitCode === 0) return settle({ ok: true, stdout: stdout() });
    const how = exitCode === null ? `was ended by ${signal}` : `exited with ${exitCode}`;
    const said = lastLines(stderr());
    fail(said === "" ? how : `${how}: ${said}`);
  });
  return promise;
}

/** Gathers a stream up to a bound; what is beyond it is dropped and told once. */
function collect(stream: NodeJS.ReadableStream, maxBytes: number, onExcess?: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (bytes > maxBytes) return;
    bytes += chunk.length;
    if (bytes > maxBytes) onExcess?.();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // The group may be gone already; anything else is a fault.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function explainSpawnError(error: Error & { code?: string }, program: string, folder: string): string {
  if (error.code === "ENOENT") return `cannot start: there is no program '${program}', or no folder '${folder}'`;
  if (error.code === "EACCES") return "cannot start: the file is not executable (chmod +x)";
  return `cannot start: ${error.message}`;
}

/** The last lines of what a program complained, on one line. */
function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-3).join(" / ").slice(-500);
}
