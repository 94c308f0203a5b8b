import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FakeApi } from "./fake-api.ts";

const cliFile = fileURLToPath(new URL("../../cli/bin.mjs", import.meta.url));
const deadlineMs = 60_000;

/** A `sluice` command that is running. */
export interface CliChild {
  /** What it wrote so far. */
  readonly stdout: string;
  readonly stderr: string;
  /** Waits until it has written something that fits, on either stream. */
  until(pattern: RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Ends the reading side of its stdout, as `head` does. */
  closeStdout(): void;
  /** Waits for its end; the exit code, or the signal that ended it. */
  end(): Promise<number | NodeJS.Signals>;
}

/** Starts the real command as a child, by default against a fake API; what outlives the deadline is killed. */
export function startCli(
  api: Pick<FakeApi, "url" | "token"> | undefined,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; node?: string } = {},
): CliChild {
  const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, ...env } = process.env;
  const target = api ? { SLUICE_URL: api.url, SLUICE_TOKEN: api.token } : { SLUICE_URL: "", SLUICE_TOKEN: "" };
  const child = spawn(options.node ?? process.execPath, [cliFile, ...args], {
    cwd: options.cwd ?? fileURLToPath(new URL("../..", import.meta.url)),
    env: { ...env, ...target, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const written = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    written.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    written.stderr += text;
  });
  const ended = waitForEnd(child);
  return {
    get stdout() {
      return written.stdout;
    },
    get stderr() {
      return written.stderr;
    },
    until: (pattern) => waitForText(child, ended, pattern, () => written.stdout + written.stderr),
    signal: (name) => {
      child.kill(name);
    },
    closeStdout: () => {
      child.stdout.destroy();
    },
    end: () => ended,
  };
}

function waitForEnd(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      resolve(code ?? signal ?? "SIGKILL");
    });
  });
}

function waitForText(child: ChildProcess, ended: Promise<unknown>, pattern: RegExp, read: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (!pattern.test(read())) return;
      child.stdout?.off("data", look);
      child.stderr?.off("data", look);
      resolve();
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    look();
    // At the end the streams have been read, so that a last look decides.
    const giveUp = (): void => {
      look();
      reject(new Error(`the command ended without ${pattern}; it wrote:\n${read()}`));
    };
    ended.then(giveUp, giveUp);
  });
}
