import { lstatSync, mkdirSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { StartError } from "./start-error.ts";

/**
 * Makes a folder and those above it that do not exist. One by one: Node's own way of doing so never ends on a file
 * system that makes no folders (`/proc`), and tells of a read-only one that a folder is missing.
 */
export function makeFolder(path: string): void {
  const found = find(path);
  if (found?.isDirectory()) return;
  if (found) throw refuse(path, "is a file, not a folder");
  if (isLink(path)) throw refuse(path, "is a link to something that does not exist");
  const parent = dirname(path);
  if (parent === path) throw refuse(path, "does not exist");
  makeFolder(parent);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = codeOf(error);
    // Somebody else was faster.
    if (code === "EEXIST" && find(path)?.isDirectory()) return;
    if (code === "ENOENT") throw refuse(path, "cannot be made here", error);
    throw error;
  }
}

/** Turns what the disk or the database says about a data folder into a sentence for the user. */
export function explainDiskErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = codeOf(error) ?? "";
    const message = error instanceof Error ? error.message : "";
    if (code === "ENOSPC" || /database or disk is full/.test(message)) {
      const advice = "free some, or use --data-dir elsewhere";
      throw new StartError(`there is no space left for the data folder ${path}: ${advice}`, { cause: error });
    }
    if (["EACCES", "EPERM", "EROFS"].includes(code) || /unable to open database|readonly database/.test(message)) {
      const advice = "check its permissions, or use --data-dir elsewhere";
      throw new StartError(`the data folder ${path} cannot be written: ${advice}`, { cause: error });
    }
    if (code === "ELOOP" || code === "ENAMETOOLONG") throw refuse(path, "is no path that can be used", error);
    throw error;
  }
}

function refuse(path: string, problem: string, cause?: unknown): StartError {
  const message = `the data folder cannot be used: ${path} ${problem}; name another with --data-dir`;
  return new StartError(message, cause === undefined ? {} : { cause });
}

function find(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Something above it is a file: that is found when the folders above are made.
    if (codeOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return false;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
