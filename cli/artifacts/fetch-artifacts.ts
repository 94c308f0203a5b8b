import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import pLimit from "p-limit";
import type { ArtifactList } from "../../shared/api/artifact-schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { makeFolder } from "../../shared/make-folder.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { fetchFile } from "../transfer/fetch-file.ts";
import { extractArchive } from "./extract.ts";
import { requestLive } from "./request-live.ts";

/** An artifact that was fetched. */
export interface FetchedArtifact {
  task: string;
  attempt: number;
  name: string;
  /** Bytes as stored. */
  size: number;
  sha256: string;
  /** Where it is: the file, or the folder it was extracted to. */
  path: string;
  /** Of a task that still ran: when its worker began to pack it. */
  liveAt?: string;
  /** What of the task's output it lacks, and why. */
  incomplete?: string;
  /** Files taken out of it, where it was extracted. */
  files?: number;
  /** Members that were left out. */
  refused?: string[];
  /** Members that got another path than they had. */
  renamed?: string[];
}

/** An artifact that the job wanted to be kept for a time that is over. */
export interface ExpiredArtifact {
  task: string;
  attempt: number;
  name: string;
  /** When it expired. */
  keptUntil: string;
}

/** What to fetch, and where to. */
export interface FetchArtifactsOptions {
  job: string;
  tasks: readonly string[];
  /** Absolute. */
  folder: string;
  attempt?: number | undefined;
  extract: boolean;
  signal: AbortSignal;
  onFetched: (artifact: FetchedArtifact) => void;
  /** A running task was asked for what it has written so far. */
  onLive: (task: string) => void;
}

/** What became of it. */
export interface FetchedArtifacts {
  fetched: FetchedArtifact[];
  /** Tasks that left none, or have written nothing yet. */
  without: string[];
  expired: ExpiredArtifact[];
  /** Running tasks that what they have written so far could not be had of. */
  failed: { task: string; detail: string }[];
}

type LinkedArtifact = ArtifactList["artifacts"][number];

/** An artifact of an attempt; links run out, `link` gets a new one each time. */
interface WantedArtifact {
  task: string;
  attempt: number;
  name: string;
  liveAt?: string;
  link: () => Promise<LinkedArtifact | undefined>;
}

const parallelDownloads = 4;

/**
 * Fetches the artifacts of tasks into a folder, a few at a time, each checked; of running tasks what they have written
 * so far. The first that fails ends it.
 */
export async function fetchArtifacts(api: ApiClient, given: FetchArtifactsOptions): Promise<FetchedArtifacts> {
  await makeTarget(given.folder);
  const limit = pLimit(parallelDownloads);
  const stop = new AbortController();
  const options = { ...given, signal: AbortSignal.any([given.signal, stop.signal]) };
  const found: FetchedArtifacts = { fetched: [], without: [], expired: [], failed: [] };
  const fetchTask = async (task: string): Promise<void> => {
    options.signal.throwIfAborted();
    for (const wanted of await findArtifacts(api, options, task, found)) {
      const artifact = await fetchOne(options, wanted);
      found.fetched.push(artifact);
      options.onFetched(artifact);
    }
  };
  const all = options.tasks.map((task) => limit(() => fetchTask(task)));
  try {
    await Promise.all(all);
  } catch (error) {
    stop.abort(error);
    // Nothing of the others may be left half done when the command ends.
    await Promise.allSettled(all);
    throw error;
  }
  return found;
}

/** What there is to fetch of a task; notes in `found` what there is not. */
async function findArtifacts(
  api: ApiClient,
  options: FetchArtifactsOptions,
  task: string,
  found: FetchedArtifacts,
): Promise<WantedArtifact[]> {
  const { job, attempt, signal } = options;
  const list = () => api.listArtifacts(job, task, { attempt }, { signal });
  let listed = await list();
  if (listed.status === "running" && attempt === undefined) {
    options.onLive(task);
    const live = await requestLive(api, job, task, signal);
    switch (live.status) {
      case "stored": {
        const link = async () => (await live.look()).artifact;
        return [{ task, attempt: live.attempt, name: live.name, liveAt: live.at, link }];
      }
      case "failed":
        found.failed.push({ task, detail: live.detail });
        return [];
      case "empty":
        found.without.push(task);
        return [];
      case "ended":
        listed = await list();
    }
  }
  for (const { name, keptUntil = "" } of listed.expired) {
    found.expired.push({ task, attempt: listed.attempt, name, keptUntil });
  }
  if (listed.artifacts.length + listed.expired.length === 0) found.without.push(task);
  return listed.artifacts.map(({ name }) => {
    const link = async () => (await list()).artifacts.find((artifact) => artifact.name === name);
    return { task, attempt: listed.attempt, name, link };
  });
}

async function fetchOne(options: FetchArtifactsOptions, wanted: WantedArtifact): Promise<FetchedArtifact> {
  const { folder, signal } = options;
  const { task, attempt, name, liveAt } = wanted;
  const target = join(folder, checkFileName(name));
  const unpacked = join(folder, checkFileName(name.replace(/\.tar\.zst$/, "") || task));
  const find = async (): Promise<LinkedArtifact> => {
    const listed = await wanted.link();
    if (listed) return listed;
    throw new CliError(exitCodes.notFound, `task ${oneLine(task)} has no artifact ${oneLine(name)} any more`);
  };
  const { url, size, sha256, incomplete } = await find();
  const links = [url];
  const link = async () => links.pop() ?? (await find()).url;
  const result = await fetchFile({ link, target, size, sha256, signal }).catch(explainDisk);
  if (!result.ok) {
    throw new CliError(exitCodes.failed, `${oneLine(name)} could not be fetched: ${oneLine(result.message)}`);
  }
  const told = { ...(liveAt === undefined ? {} : { liveAt }), ...(incomplete === undefined ? {} : { incomplete }) };
  const artifact = { task, attempt, name, size, sha256, path: target, ...told };
  return options.extract ? extractOne(artifact, unpacked, signal) : artifact;
}

async function extractOne(artifact: FetchedArtifact, path: string, signal: AbortSignal): Promise<FetchedArtifact> {
  if (path === artifact.path) return artifact;
  const { files, refused, renamed } = await extractArchive(artifact.path, path, signal).catch((error: unknown) => {
    if (signal.aborted || hasSystemCode(error)) return explainDisk(error);
    const reason = error instanceof Error ? oneLine(error.message) : String(error);
    throw new CliError(exitCodes.failed, `${artifact.name} cannot be unpacked: ${reason}`, { cause: error });
  });
  await rm(artifact.path, { force: true });
  return { ...artifact, path, files, refused, renamed };
}

/** Whether the operating system refused something: what it says is about the disk, not about the archive. */
function hasSystemCode(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^E[A-Z]+$/.test(String(error.code));
}

/** A name comes from a server: it must stay the name of one file in the folder. */
function checkFileName(name: string): string {
  if (name !== "" && name !== "." && name !== ".." && !/[/\\\0]/.test(name)) return name;
  throw new CliError(exitCodes.failed, `an artifact is called '${oneLine(name)}', which is no file name; not fetched`);
}

async function makeTarget(folder: string): Promise<void> {
  try {
    await makeFolder(resolve(folder), 0o777);
  } catch (error) {
    explainDisk(error);
  }
}

function explainDisk(error: unknown): never {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const why: Record<string, string> = {
    ENOSPC: "the disk is full",
    EDQUOT: "your disk quota is used up",
    EACCES: "you may not write there",
    EPERM: "you may not write there",
    EROFS: "the file system is read-only",
    ENOENT: "no folder can be made there",
    EEXIST: "a file is in the way",
    ENOTDIR: "a file is in the way",
    EISDIR: "a folder is in the way",
  };
  if (why[code] === undefined) throw error;
  const message = error instanceof Error ? oneLine(error.message) : "";
  throw new CliError(
    exitCodes.failed,
    `cannot write the artifacts: ${why[code]} (${message}); choose another folder by -o`,
    {
      cause: error,
    },
  );
}
