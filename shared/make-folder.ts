import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { hasCode } from "./error-code.ts";

/**
 * Makes a folder with those above it, like `mkdir -p`; one that is there stays as it is. Throws the system's error. Node's
 * own way (`recursive`) never returns where the system says that a folder is missing which is there, as below `/proc`.
 */
export async function makeFolder(path: string, mode: number): Promise<void> {
  if (await makeInside(path, mode)) return;
  const parent = dirname(path);
  await makeFolder(parent, mode);
  if (await makeInside(path, mode)) return;
  throw Object.assign(new Error(`no folder can be made in ${parent}`), { code: "ENOENT" });
}

/** Makes a folder in one that is there; false where the system says that it is not. */
async function makeInside(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, mode);
    return true;
  } catch (error) {
    // Also where others have made it.
    if (await isFolder(path)) return true;
    if (hasCode(error, "ENOENT") && dirname(path) !== path) return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES")) return false;
    throw error;
  }
}
