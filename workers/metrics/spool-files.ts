import { readdir, rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { hasCode } from "../../shared/error-code.ts";

const suffix = ".wal";

/** The file of an attempt's spool in its worker's folder. */
export function spoolPath(
  workerDir: string,
  { jobId, task, attempt }: { jobId: string; task: string; attempt: number },
) {
  return join(workerDir, `${task}-${attempt}-${jobId.slice(-26)}${suffix}`);
}

/**
 * Moves the spools that a worker has left out of its folder, which is about to be removed, to beside it. One that another
 * worker moves at the same moment is moved once.
 */
export async function setSpoolsAside(workDir: string, workerDir: string): Promise<void> {
  for (const name of await listSpools(workerDir)) {
    await rename(join(workerDir, name), join(workDir, `${basename(workerDir)}.${name}`)).catch(ignoreMissing);
  }
}

/** The spools that wait for adoption. */
export async function listSpoolsAside(workDir: string): Promise<string[]> {
  return (await listSpools(workDir)).map((name) => join(workDir, name));
}

async function listSpools(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(ignoreMissing)) ?? [];
  return names.filter((name) => name.endsWith(suffix));
}

function ignoreMissing(error: unknown): undefined {
  if (hasCode(error, "ENOENT")) return undefined;
  throw error;
}
