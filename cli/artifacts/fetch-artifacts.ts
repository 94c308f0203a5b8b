import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import pLimit from "p-limit";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { CliError, exitCodes } from "../errors.ts";
import { oneLine } from "../terminal/one-line.ts";
import { fetchFile } from "../transfer/fetch-file.ts";
import { extractArchive } from "./extract.ts";

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
  /** Files taken out of it, where it was extracted. */
  files?: number;
  /** Members that were left out. */
  refused?: string[];
  /** Members that got another path than they had. */
  renamed?: string[];
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
}

/** What became of it. */
export interface FetchedArtifacts {
  fetched: FetchedArtifact[];
  /** Tasks that left none. */
  without: string[];
}

const parallelDownloads = 4;
const tries = 3;

/** Fetches the artifacts of tasks into a folder, a few at a time, each checked. The first that fails ends it. */
export async function fetchArtifacts(api: ApiClient, options: FetchArtifactsOptions): Promise<FetchedArtifacts> {
  await makeFolder(options.folder);
  const limit = pLimit(parallelDownloads);
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const fetched: FetchedArtifact[] = [];
  const without: string[] = [];
  const fetchTask = async (task: string): Promise<void> => {
    signal.throwIfAborted();
    const names = await listNames(api, { ...options, signal }, task);
    if (names.length === 0) without.push(task);
    for (const name of names) {
      const artifact = await fetchOne(api, { ...options, signal }, task, name);
      fetched.push(artifact);
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
  return { fetched, without };
}

async function listNames(api: ApiClient, options: FetchArtifactsOptions, task: string): Promise<string[]> {
  const { job, attempt, signal } = options;
  const { artifacts } = await api.listArtifacts(job, task, { attempt }, { signal });
  return artifacts.map(({ name }) => name);
}

async function fetchOne(
  api: ApiClient,
  options: FetchArtifactsOptions,
  task: string,
  name: string,
): Promise<FetchedArtifact> {
  const { job, folder, signal } = options;
  const target = join(folder, checkFileName(name));
  for (let tried = 1; ; tried++) {
    // Links run out; a new try gets a new one.
    const list = await api.listArtifacts(job, task, { attempt: options.attempt }, { signal });
    const listed = list.artifacts.find((artifact) => artifact.name === name);
    if (!listed)
      throw new CliError(exitCodes.notFound, `task ${oneLine(task)} has no artifact ${oneLine(name)} any more`);
    const { size, sha256, url } = listed;
    const result = await fetchFile({ url, target, size, sha256, signal }).catch(explainDisk);
    if (result.ok) {
      const artifact = { task, attempt: list.attempt, name, size, sha256, path: target };
      return options.extract ? extractOne(artifact, folder, signal) : artifact;
    }
    if (!result.retry || tried >= tries) {
      throw new CliError(exitCodes.failed, `${oneLine(name)} could not be fetched: ${oneLine(result.message)}`);
    }
  }
}

async function extractOne(artifact: FetchedArtifact, folder: string, signal: AbortSignal): Promise<FetchedArtifact> {
  const path = join(folder, artifact.name.replace(/\.tar\.zst$/, "") || artifact.task);
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

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(resolve(folder), { recursive: true });
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
