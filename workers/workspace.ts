import { chmod, lstat, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../shared/error-code.ts";
import { makeFolder } from "../shared/make-folder.ts";
import { checkOwner, formatOwner, type Owner, type OwnerState, parseOwner } from "./owner.ts";
import { removeDeepTree } from "./remove-deep-tree.ts";
import { messageOf } from "./retry.ts";

/** The folders of one attempt on this machine. */
export interface Workspace {
  /** Everything of the attempt; removed with it. */
  root: string;
  /** What steps see as `/sluice`. */
  path: string;
  /** What becomes the artifact. */
  output: string;
  /** Shared between the steps of the task. */
  shared: string;
  /** For files that executors give to steps one by one; steps do not see the folder. */
  private: string;
}

/** Tells in the folder of a worker whose it is. */
export const ownerFile = "owner";
/** A worker's folder without an owner is one that is just being made, for this long. */
const unownedGraceMs = 60_000;

/** Makes the folder that all workers of this machine share, which nobody else may look into; throws where it cannot. */
export async function makeWorkDir(workDir: string): Promise<void> {
  try {
    await makeFolder(workDir, 0o700);
  } catch (error) {
    const why = `the work folder ${workDir} cannot be made (${messageOf(error)}): SLUICE_WORK_DIR names another`;
    throw new Error(why, { cause: error });
  }
}

/** Makes the folder of a worker, with a note whose it is; a live sibling's folder is never touched. */
export async function createWorkerDir(workDir: string, workerId: string, owner: Owner): Promise<string> {
  const path = join(workDir, workerId);
  // What a worker keeps on disk is nobody else's.
  await mkdir(path, { mode: 0o700 });
  await writeFile(join(path, ownerFile), `${formatOwner(owner)}\n`, { mode: 0o600 });
  return path;
}

/** Makes the folders of an attempt; any user of an image can write where steps are meant to. */
export async function createWorkspace(workerDir: string, name: string): Promise<Workspace> {
  const root = join(workerDir, name);
  const workspace = {
    root,
    path: join(root, "sluice"),
    output: join(root, "sluice", "output"),
    shared: join(root, "sluice", "shared"),
    private: join(root, "private"),
  };
  // The root keeps other users of the machine out of what is writable by anybody inside; a container's mount starts
  // below it.
  await mkdir(root, { mode: 0o700 });
  await Promise.all([mkdir(workspace.private, { mode: 0o755 }), makeOpenFolder(workspace.path)]);
  await Promise.all([makeOpenFolder(workspace.output), makeOpenFolder(workspace.shared)]);
  return workspace;
}

/** `mkdir` alone is subject to the umask. */
async function makeOpenFolder(path: string): Promise<void> {
  await mkdir(path);
  await chmod(path, 0o777);
}

/** Removes a folder with all it holds; false where files of other users are in the way. */
export async function removeTree(path: string): Promise<boolean> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
    return true;
  } catch (error) {
    if (hasCode(error, "ENAMETOOLONG") && process.platform === "linux") {
      await removeDeepTree(path);
      return true;
    }
    if (!hasCode(error, "EACCES", "EPERM")) throw error;
  }
  return unlockAndRemove(path);
}

/** A folder of our own that a step has made unwritable can be opened again; a folder of another user cannot. */
async function unlockAndRemove(path: string): Promise<boolean> {
  await unlock(path);
  try {
    await rm(path, { recursive: true, force: true });
    return true;
  } catch (error) {
    if (hasCode(error, "EACCES", "EPERM")) return false;
    throw error;
  }
}

/** The removal that failed may still be taking other entries away. */
async function unlock(path: string): Promise<void> {
  try {
    const stats = await lstat(path);
    if (!stats.isDirectory() || stats.uid !== process.getuid?.()) return;
    await chmod(path, 0o700);
    for (const name of await readdir(path)) await unlock(join(path, name));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

/** A worker's folder on this machine, and whether that worker lives. */
export interface FoundWorkerDir {
  workerId: string;
  state: OwnerState;
  /** When its worker last showed that it lives, by the file system's clock. */
  ownerMtimeMs: number;
}

/** The folders of workers in a work folder. */
export async function findWorkerDirs(workDir: string, own: Owner, nowMs: number): Promise<FoundWorkerDir[]> {
  const names = await readdir(workDir);
  const found = names
    .filter((name) => /^w-[0-9a-z]{26}$/.test(name))
    .map((name) => findOwner(workDir, name, own, nowMs));
  return (await Promise.all(found)).flatMap((one) => one ?? []);
}

/** Undefined where the folder goes at this moment. */
async function findOwner(
  workDir: string,
  workerId: string,
  own: Owner,
  nowMs: number,
): Promise<FoundWorkerDir | undefined> {
  const path = join(workDir, workerId);
  const file = join(path, ownerFile);
  const [owner, stats] = await Promise.all([
    readFile(file, "utf8").then(parseOwner, () => undefined),
    lstat(file).catch(() => lstat(path).catch(() => undefined)),
  ]);
  if (stats === undefined) return undefined;
  const ownerMtimeMs = stats.mtimeMs;
  if (owner !== undefined) return { workerId, ownerMtimeMs, state: await checkOwner(owner, own) };
  return { workerId, ownerMtimeMs, state: nowMs - ownerMtimeMs > unownedGraceMs ? "dead" : "alive" };
}
