import { type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { LogStream } from "../../logs/line-cutter.ts";
import { type ProcessTable, ProcessTreeUsage } from "../../metrics/process-tree.ts";
import { sleep } from "../../retry.ts";
import type { RunningStep, StepExit, StepOutput } from "../executor.ts";
import type { Guardian } from "./guardian.ts";
import { isGroupAlive, killQuietly } from "./stray-processes.ts";

/** How often a group that was asked to end is looked at. */
const groupPollMs = 20;
/** After SIGKILL a process can still be in the kernel's hands (a dying disk); it is not waited for longer than this. */
const killedDeadlineMs = 5_000;
/** A process outside the group can hold a pipe open for ever; without data for this long the pipe is closed. */
const idlePipeMs = 1_000;

export interface HostCommand {
  file: string;
  args: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
}

/** Starts a command as the leader of a process group of its own. */
export async function startHostProcess(
  command: HostCommand,
  output: StepOutput,
  guardian: Guardian,
  processes: ProcessTable,
): Promise<RunningStep> {
  const child = spawn(command.file, command.args, {
    cwd: command.cwd,
    env: command.env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (child.pid === undefined) return explainFailedStart(child, command, output);
  // Errors after the start are of signals that found nobody: what matters is the exit.
  child.on("error", () => undefined);
  guardian.add(child.pid);
  return new HostProcess(child, child.pid, output, guardian, new ProcessTreeUsage(processes, child.pid));
}

/** A program that cannot be started ends like it does in a shell: 127 not found, 126 not executable. */
async function explainFailedStart(
  child: ChildProcessByStdio<null, Readable, Readable>,
  command: HostCommand,
  output: StepOutput,
): Promise<RunningStep> {
  const error = await new Promise<Error & { code?: string }>((resolve) => child.once("error", resolve));
  const missing = error.code === "ENOENT";
  const why = missing ? "not found" : error.code === "EACCES" ? "permission denied" : error.message;
  await output.write("stderr", Buffer.from(`sluice: ${command.file}: ${why}\n`));
  return {
    ended: Promise.resolve({ exitCode: missing ? 127 : 126, outOfMemory: false }),
    terminate: () => undefined,
    kill: () => undefined,
  };
}

class HostProcess implements RunningStep {
  readonly ended: Promise<StepExit>;
  readonly usage: ProcessTreeUsage;
  readonly #group: number;
  readonly #guardian: Guardian;
  #askedToEnd = false;
  #killed = false;

  constructor(
    child: ChildProcessByStdio<null, Readable, Readable>,
    group: number,
    output: StepOutput,
    guardian: Guardian,
    usage: ProcessTreeUsage,
  ) {
    this.usage = usage;
    this.#group = group;
    this.#guardian = guardian;
    const exited = new Promise<number>((resolve) => {
      child.once("exit", (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
    const pipes = [new PipeReader(child.stdout, "stdout", output), new PipeReader(child.stderr, "stderr", output)];
    this.ended = this.#waitForEnd(exited, pipes);
  }

  terminate(): void {
    this.#askedToEnd = true;
    killQuietly(-this.#group, "SIGTERM");
  }

  kill(): void {
    this.#killed = true;
    killQuietly(-this.#group, "SIGKILL");
  }

  async #waitForEnd(exited: Promise<number>, pipes: readonly PipeReader[]): Promise<StepExit> {
    const exitCode = await exited;
    // What the leader leaves behind ends with it, as in a container; one that was asked to end gets its grace.
    if (!this.#askedToEnd) this.kill();
    let killedForMs = 0;
    while ((await isGroupAlive(this.#group)) && killedForMs < killedDeadlineMs) {
      await sleep(groupPollMs);
      if (this.#killed) killedForMs += groupPollMs;
    }
    this.#guardian.delete(this.#group);
    await Promise.all(pipes.map((pipe) => pipe.finish()));
    return { exitCode, outOfMemory: false };
  }
}

/** Reads one pipe of a process, no faster than its output is taken. */
class PipeReader {
  readonly #stream: Readable;
  readonly #done: Promise<void>;
  #reads = 0;
  #writing = false;

  constructor(stream: Readable, name: LogStream, output: StepOutput) {
    this.#stream = stream;
    this.#done = this.#copy(name, output);
  }

  /** Resolves when the pipe has ended; closes it when only strangers hold it open. */
  async finish(): Promise<void> {
    let seenReads = -1;
    const watch = setInterval(() => {
      if (!this.#writing && this.#reads === seenReads) this.#stream.destroy();
      seenReads = this.#reads;
    }, idlePipeMs);
    await this.#done;
    clearInterval(watch);
  }

  async #copy(name: LogStream, output: StepOutput): Promise<void> {
    try {
      for await (const bytes of this.#stream as AsyncIterable<Buffer>) {
        this.#reads++;
        this.#writing = true;
        await output.write(name, bytes);
        this.#writing = false;
      }
    } catch (error) {
      // Closed by `finish`: everything that was there has been read.
      if (!(error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE")) throw error;
    }
  }
}
