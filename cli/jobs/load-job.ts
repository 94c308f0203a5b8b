import { readFile, stat } from "node:fs/promises";
import { dirname, extname, resolve } from "node:path";
import { plural } from "../../shared/domain/format.ts";
import { parseCodeJob } from "../../shared/jobfile/code-job.ts";
import { formatProblems } from "../../shared/jobfile/format-problems.ts";
import { loadJobFile } from "../../shared/jobfile/load.ts";
import type { ParsedJobFile } from "../../shared/jobfile/parse.ts";
import type { Problem } from "../../shared/jobfile/problem.ts";
import { createCommandRunner } from "../../shared/jobfile/run-command.ts";
import type { JobDocument } from "../../shared/jobfile/schema.ts";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { findMissingFiles } from "./missing-files.ts";
import { runJobCode } from "./run-job-code.ts";

/** A job file as the user named it, with what its templates get. */
export interface JobFileInput {
  file: string;
  args: readonly string[];
  /** `NAME=VALUE` of each `-p`. */
  params: readonly string[];
}

/** A valid job and the folder that its paths are relative to. */
export interface LoadedJob {
  job: JobDocument;
  folder: string;
}

/** No job file is near this size; reading a larger one would only fill the memory. */
const maxFileBytes = 64 * 1024 * 1024;

const codeExtensions: readonly string[] = [".ts", ".mts", ".js", ".mjs"];

/** What came of reading a job file: the job, or everything that is wrong with it. */
export type JobFileResult = ({ ok: true } & LoadedJob) | { ok: false; problems: Problem[] };

/** Reads, renders and checks a job file; whatever is wrong with it is a CliError with all its problems. */
export async function loadJob(context: Context, input: JobFileInput, signal: AbortSignal): Promise<LoadedJob> {
  const result = await checkJob(context, input, signal);
  if (result.ok) return result;
  const count = plural(result.problems.length, "problem");
  throw new CliError(exitCodes.usage, `${oneLine(input.file)} is not a valid job file: ${count}`, {
    details: formatProblems(result.problems).trimEnd().split("\n"),
  });
}

/** Reads, renders and checks a job file. A file that cannot be read is a CliError. */
export async function checkJob(context: Context, input: JobFileInput, signal: AbortSignal): Promise<JobFileResult> {
  const path = resolve(context.runtime.cwd, input.file);
  const source = await readSource(input.file, path);
  const folder = dirname(path);
  const loaded = await loadSource(context, { ...input, path, source }, signal);
  signal.throwIfAborted();
  if (!loaded.ok) return { ok: false, problems: loaded.problems };
  const missing = await findMissingFiles(loaded.job, folder);
  return missing.length > 0 ? { ok: false, problems: loaded.locate(missing) } : { ok: true, job: loaded.job, folder };
}

/** By its extension a file is code that makes a job, or YAML. */
async function loadSource(
  context: Context,
  { file, path, source, args, params }: JobFileInput & { path: string; source: string },
  signal: AbortSignal,
): Promise<ParsedJobFile> {
  const { env } = context.runtime;
  const inputs = { env, args, params: parseParams(params) };
  const printErrors = (text: string): void => context.err.write(text);
  if (codeExtensions.includes(extname(path))) {
    return parseCodeJob(source, file, await runJobCode({ ...inputs, path, onPrinted: printErrors, signal }));
  }
  const runCommand = createCommandRunner({
    folder: dirname(path),
    env,
    signal,
    ...(context.verbose && { onErrorOutput: printErrors }),
  });
  return loadJobFile(source, { ...inputs, fileName: file, runCommand });
}

async function readSource(file: string, path: string): Promise<string> {
  const named = oneLine(file);
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw new CliError(exitCodes.usage, `${named} has ${size} bytes; is it a job file?`);
    return await readFile(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const why: Record<string, string> = {
      ENOENT: "there is no such file",
      ENOTDIR: "there is no such file",
      EISDIR: "it is a folder; name the job file in it",
      EACCES: "you may not read it",
    };
    if (why[code] === undefined) throw error;
    throw new CliError(exitCodes.usage, `cannot read ${named}: ${why[code]}`, { cause: error });
  }
}

function parseParams(params: readonly string[]): Record<string, string> {
  const values = params.map((param): [string, string] => {
    const at = param.indexOf("=");
    if (at <= 0) throw new CliError(exitCodes.usage, `-p takes NAME=VALUE, not '${oneLine(param)}'`);
    return [param.slice(0, at), param.slice(at + 1)];
  });
  return Object.fromEntries(values);
}
