import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { hasCode } from "../error-code.ts";

/** The folder of a worker's spools, in its own. */
export function spoolFolder(workerDir: string): string {
  return join(workerDir, "metrics");
}

/** Where spools wait for adoption whose worker is gone, each worker's in a folder of its name. */
export function asideFolder(workDir: string): string {
  return join(workDir, "spools");
}

/** Moves what a worker has left in its spools out of its folder, which is about to be removed; one move, whole or not at all. */
export async function setSpoolsAside(workDir: string, workerDir: string): Promise<void> {
  const from = spoolFolder(workerDir);
  try {
    if ((await readdir(from)).length === 0) return await rmdir(from);
    await mkdir(asideFolder(workDir), { recursive: true, mode: 0o700 });
    await rename(from, join(asideFolder(workDir), basename(workerDir)));
  } catch (error) {
    // There is none, or another worker was first to take it.
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** The spools that wait for adoption. */
export async function listSpoolsAside(workDir: string): Promise<string[]> {
  const folders = await readdir(asideFolder(workDir)).catch(emptyIfMissing);
  const lists = await Promise.all(
    folders.map(async (name) => {
      const folder = join(asideFolder(workDir), name);
      return (await readdir(folder).catch(emptyIfMissing)).map((file) => join(folder, file));
    }),
  );
  return lists.flat();
}

/** Removes an adopted spool, and its folder with the last of them. */
export async function removeSpool(path: string): Promise<void> {
  await rm(path, { force: true });
  await rmdir(join(path, "..")).catch((error: unknown) => {
    if (!hasCode(error, "ENOTEMPTY", "EEXIST", "ENOENT")) throw error;
  });
}

function emptyIfMissing(error: unknown): string[] {
  if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
  throw error;
}
