import type { ArtifactFile, ArtifactFilePage } from "../../shared/api/artifact-schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { formatBytes, formatLocalTime, formatNumber, plural } from "../../shared/domain/format.ts";
import { type Context, withInterrupt } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";

const kindLetters = { file: "-", folder: "d", link: "l" } as const;

/** `sluice artifact JOB TASK --list`: what is in the artifacts of a task, without fetching them. */
export function listArtifact(
  context: Context,
  job: string,
  tasks: readonly string[],
  attempt: number | undefined,
): Promise<number> {
  return withInterrupt(context.runtime, async (signal) => {
    const [task] = tasks;
    if (task === undefined || tasks.length > 1) {
      throw new CliError(exitCodes.usage, "--list takes one task: sluice artifact JOB TASK --list");
    }
    const api = context.api();
    const { artifacts, expired, attempt: shown } = await api.listArtifacts(job, task, { attempt }, { signal });
    const [gone] = expired;
    if (artifacts.length === 0) {
      const why = gone ? `${oneLine(gone.name)} has expired` : `attempt ${shown} of ${oneLine(task)} has no artifact`;
      throw new CliError(exitCodes.notFound, why);
    }
    const documents = [];
    for (const { name } of artifacts) {
      const place = { job, task, name, attempt: shown };
      if (context.json) documents.push(await readWhole(api, place, signal));
      else await writeList(context, api, place, signal);
    }
    if (context.json) context.writeJson({ job, task, artifacts: documents });
    return exitCodes.completed;
  });
}

interface Place {
  job: string;
  task: string;
  name: string;
  attempt: number;
}

async function* eachPage(api: ApiClient, { job, task, name, attempt }: Place, signal: AbortSignal) {
  let cursor: string | undefined;
  do {
    const page: ArtifactFilePage = await api.listArtifactFiles(job, task, name, { attempt, cursor }, { signal });
    yield page;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

async function readWhole(api: ApiClient, place: Place, signal: AbortSignal) {
  const files: ArtifactFile[] = [];
  let whole: Omit<ArtifactFilePage, "cursor"> | undefined;
  for await (const { cursor: _cursor, ...page } of eachPage(api, place, signal)) {
    files.push(...page.files);
    whole = { ...page, files };
  }
  return whole;
}

async function writeList(context: Context, api: ApiClient, place: Place, signal: AbortSignal): Promise<void> {
  let last: ArtifactFilePage | undefined;
  for await (const page of eachPage(api, place, signal)) {
    context.out.write(page.files.map(describeFile).join(""));
    last = page;
  }
  if (!last) return;
  const { content, listed, name } = last;
  const more = content.members - listed;
  if (more > 0) context.out.write(`… and ${formatNumber(more)} more: only the first are listed\n`);
  context.note(`  ${oneLine(name)}  ${plural(content.files, "file")} of ${formatBytes(content.bytes)}`);
}

/** As `ls -l` has it: mode, size, time, path. */
function describeFile({ kind, path, size, mode = 0, mtime, target }: ArtifactFile): string {
  const bits = mode.toString(8).padStart(4, "0");
  const time = mtime === undefined ? "" : formatLocalTime(mtime);
  const end = kind === "folder" ? "/" : target === undefined ? "" : ` -> ${oneLine(target)}`;
  return `${kindLetters[kind]}${bits}  ${formatBytes(size).padStart(7)}  ${time}  ${oneLine(path)}${end}\n`;
}
