import { resolve } from "node:path";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { formatBytes, formatLocalTime, plural } from "../../shared/domain/format.ts";
import {
  type ExpiredArtifact,
  type FetchedArtifact,
  type FetchedArtifacts,
  fetchArtifacts,
} from "../artifacts/fetch-artifacts.ts";
import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { listArtifact } from "./artifact-list.ts";

/** Options of `sluice artifact`. */
export interface ArtifactOptions {
  /** Where to; needed unless they are only listed. */
  output?: string;
  list?: boolean;
  attempt?: number;
  extract?: boolean;
}

/** The same, where they are fetched. */
type FetchOptions = ArtifactOptions & { output: string };

/** `sluice artifact JOB [TASK…] -o DIR`: fetches artifacts, of all tasks where none is named; with `--list` lists one. */
export async function artifact(
  context: Context,
  job: string,
  tasks: string[],
  options: ArtifactOptions,
): Promise<number> {
  const { output } = options;
  if (options.list === true) return listArtifact(context, job, tasks, options.attempt);
  if (output === undefined) {
    throw new CliError(exitCodes.usage, "say where to put them (-o FOLDER), or --list what is in that of one task");
  }
  return withInterrupt(context.runtime, (signal) =>
    fetchAndTell(context, context.api(), job, tasks, { ...options, output }, signal),
  );
}

/** Fetches artifacts into a folder and lists what came; also what `run -o` does at the end. */
export async function fetchAndTell(
  context: Context,
  api: ApiClient,
  job: string,
  tasks: readonly string[],
  options: FetchOptions,
  signal: AbortSignal,
): Promise<number> {
  const folder = resolve(context.runtime.cwd, options.output);
  const wanted = tasks.length > 0 ? [...new Set(tasks)] : await listTasksWithArtifacts(api, job, signal);
  const found = await fetchArtifacts(api, {
    job,
    tasks: wanted,
    folder,
    attempt: options.attempt,
    extract: options.extract === true,
    signal,
    onFetched: (got) => (context.json ? undefined : context.note(describeFetched(got))),
    onLive: (task) => context.note(`  ${oneLine(task)} is running: asking its worker for what it has written so far`),
  });
  const { fetched, without, expired, failed } = found;
  if (context.json) context.writeJson({ job, folder, artifacts: fetched, without, expired, failed });
  else {
    for (const artifact of expired) context.note(`  ${describeExpired(artifact)}`);
    if (fetched.length > 0) {
      const bytes = fetched.reduce((sum, { size }) => sum + size, 0);
      context.out.write(
        `${plural(fetched.length, "artifact")}, ${formatBytes(bytes)}, in ${oneLine(options.output)}\n`,
      );
    } else if (tasks.length === 0 && failed.length === 0) {
      context.out.write(`${oneLine(job)} has no artifacts${expired.length > 0 ? " any more" : ""}\n`);
    }
  }
  explainMissing(found, tasks.length > 0);
  return exitCodes.completed;
}

/** What of it is an error: nobody asked for tasks by name that have nothing where all were asked for. */
function explainMissing({ without, expired, failed }: FetchedArtifacts, isNamed: boolean): void {
  const [first] = failed;
  if (first) {
    const names = failed.map(({ task }) => oneLine(task)).join(", ");
    throw new CliError(exitCodes.failed, `what ${names} has written so far could not be had: ${oneLine(first.detail)}`);
  }
  if (!isNamed || without.length + expired.length === 0) return;
  const parts = expired.map(describeExpired);
  if (without.length > 0) {
    const names = without.map(oneLine).join(", ");
    parts.push(`no artifacts of ${names}: a task has them once it wrote to $SLUICE_OUTPUT`);
  }
  throw new CliError(exitCodes.notFound, parts.join("; "));
}

function describeExpired({ name, keptUntil }: ExpiredArtifact): string {
  return `${oneLine(name)} expired on ${formatLocalTime(keptUntil)}: the job's file says how long artifacts are kept (artifacts.retention)`;
}

async function listTasksWithArtifacts(api: ApiClient, job: string, signal: AbortSignal): Promise<string[]> {
  const names: string[] = [];
  for await (const task of api.eachTask(job, {}, { signal })) {
    if ((task.artifacts ?? []).length > 0 || task.status === "running") names.push(task.task);
  }
  // A list of tasks is empty for a job that does not exist in no API; reading the job makes the error certain.
  if (names.length === 0) await api.getJob(job, { signal });
  return names;
}

function describeFetched({ name, size, path, files, liveAt, incomplete, ...rest }: FetchedArtifact): string {
  const { refused = [], renamed = [] } = rest;
  const live = liveAt === undefined ? "" : `  as it was at ${formatLocalTime(liveAt)}`;
  const notes = [
    ...(incomplete === undefined ? [] : [`lacks ${oneLine(incomplete)}`]),
    ...refused.map((reason) => `left out: ${reason}`),
    ...renamed.map((name) => `unpacked: ${name}`),
  ];
  const told = notes.map((note) => `\n    ${note}`).join("");
  if (files === undefined) return `  ${oneLine(name)}  ${formatBytes(size)}${live}${told}`;
  return `  ${oneLine(path)}  ${plural(files, "file")} of ${formatBytes(size)}${live}${told}`;
}
