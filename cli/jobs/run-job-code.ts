import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { CodeOutcome } from "../../shared/jobfile/code-job.ts";
import { createCommandRunner } from "../../shared/jobfile/run-command.ts";

const mainFile = fileURLToPath(new URL("./job-code-main.ts", import.meta.url));
const deadlineMs = 60_000;
/** More than the largest job takes as JSON, so that it is the job's own limits that are told. */
const maxOutputBytes = 64 * 1024 * 1024;

export interface JobCodeInput {
  /** Absolute path of the job file. */
  path: string;
  env: NodeJS.ProcessEnv;
  args: readonly string[];
  params: Readonly<Record<string, string>>;
  /** Gets what the code prints. */
  onPrinted: (text: string) => void;
  /** Ends the code. */
  signal: AbortSignal;
}

/** Runs the code of a job file (TypeScript or JavaScript) in its folder, in a process of its own; never rejects. */
export async function runJobCode(input: JobCodeInput): Promise<CodeOutcome> {
  const { path, env, args, params, onPrinted, signal } = input;
  const run = createCommandRunner({
    folder: dirname(path),
    env,
    timeoutMs: deadlineMs,
    maxOutputBytes,
    onErrorOutput: onPrinted,
    signal,
  });
  const mark = `${randomUUID()} `;
  const given = JSON.stringify({ args, params });
  const flags = ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"];
  const result = await run(process.execPath, [...flags, mainFile, path, mark, given]);
  if (!result.ok) return { ok: false, message: `the code of the job file ${result.message}` };
  const at = result.stdout.lastIndexOf(mark);
  if (at < 0) return { ok: false, message: "the code of the job file ended its process before it gave a job" };
  return JSON.parse(result.stdout.slice(at + mark.length)) as CodeOutcome;
}
