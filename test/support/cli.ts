import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RunningStack } from "./local-stack.ts";

const cliFile = fileURLToPath(new URL("../../cli/bin.mjs", import.meta.url));
const deadlineMs = 120_000;

/** How a command ended and what it said. */
export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the `sluice` command against a stack, as a user would without a terminal. */
export function runCli(
  stack: Pick<RunningStack, "url" | "token"> | undefined,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; node?: string; input?: string } = {},
): Promise<CliResult> {
  const target = stack ? { SLUICE_URL: stack.url, SLUICE_TOKEN: stack.token } : {};
  return new Promise((resolve, reject) => {
    const child = spawn(options.node ?? process.execPath, [cliFile, ...args], {
      cwd: options.cwd ?? fileURLToPath(new URL("../..", import.meta.url)),
      env: { ...process.env, NO_COLOR: "1", ...target, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    // Without an input stdin is at its end; a command that does not read it may be gone before.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on("data", (data: Buffer) => {
      stderr += data.toString();
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
}
