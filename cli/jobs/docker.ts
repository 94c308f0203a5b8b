import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { CliError, exitCodes } from "../errors.ts";

/** How a docker command is run. */
export interface DockerOptions {
  folder: string;
  signal: AbortSignal;
  /** Receives each line of what it says, on either stream. */
  onLine: (line: string) => void;
}

/** How a docker command ended. */
export interface DockerExit {
  exitCode: number | null;
  /** The last lines it said. */
  lastLines: string[];
}

const keptLines = 20;
/** From the word to end to the end of patience. */
const killAfterMs = 10_000;

/** Runs the docker CLI to its end and passes on what it says. */
export async function runDocker(args: readonly string[], options: DockerOptions): Promise<DockerExit> {
  const child = spawn("docker", args, { cwd: options.folder, stdio: ["ignore", "pipe", "pipe"] });
  const lastLines: string[] = [];
  const take = (line: string): void => {
    lastLines.push(line);
    if (lastLines.length > keptLines) lastLines.shift();
    options.onLine(line);
  };
  const reading = Promise.all([readLines(child.stdout, take), readLines(child.stderr, take)]);
  const exitCode = await waitForExit(child, options.signal);
  await reading;
  return { exitCode, lastLines };
}

/** Starts the docker CLI for the bytes it writes to stdout; `ended` rejects where it fails. */
export function openDocker(
  args: readonly string[],
  options: Omit<DockerOptions, "onLine">,
): { stdout: Readable; ended: Promise<void> } {
  const child = spawn("docker", args, { cwd: options.folder, stdio: ["ignore", "pipe", "pipe"] });
  const said: string[] = [];
  const reading = readLines(child.stderr, (line) => {
    said.push(line);
    if (said.length > keptLines) said.shift();
  });
  const end = async (): Promise<void> => {
    const exitCode = await waitForExit(child, options.signal);
    await reading;
    if (exitCode === 0) return;
    throw new CliError(exitCodes.usage, `docker ${args[0]} failed with exit code ${exitCode}`, {
      details: said,
    });
  };
  return { stdout: child.stdout, ended: end() };
}

function waitForExit(child: ChildProcess, signal: AbortSignal): Promise<number | null> {
  return new Promise((resolve, reject) => {
    let killing: NodeJS.Timeout | undefined;
    const interrupt = (): void => {
      child.kill("SIGTERM");
      killing = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    };
    if (signal.aborted) interrupt();
    signal.addEventListener("abort", interrupt, { once: true });
    const stopListening = (): void => {
      clearTimeout(killing);
      signal.removeEventListener("abort", interrupt);
    };
    child.once("error", (error: Error & { code?: string }) => {
      stopListening();
      reject(error.code === "ENOENT" ? explainNoDocker(error) : error);
    });
    child.once("close", (exitCode) => {
      stopListening();
      if (signal.aborted) reject(signal.reason);
      else resolve(exitCode);
    });
  });
}

function explainNoDocker(cause: Error): CliError {
  const message =
    "this job builds an image, and there is no docker command here: install Docker, or name an image instead of a dockerfile";
  return new CliError(exitCodes.usage, message, { cause });
}

/** Lines of a stream; what a progress bar overwrites by `\r` counts as a line of its own. */
async function readLines(stream: Readable, onLine: (line: string) => void): Promise<void> {
  let rest = "";
  // Builders colour what a program said on stderr.
  const take = (text: string): void => {
    const line = stripVTControlCharacters(text);
    if (line !== "") onLine(line);
  };
  stream.setEncoding("utf8");
  for await (const chunk of stream) {
    const lines = (rest + chunk).split(/\r\n|[\r\n]/);
    // A program that writes no line ends must not fill the memory.
    rest = (lines.pop() ?? "").slice(-65_536);
    for (const line of lines) take(line);
  }
  take(rest);
}
