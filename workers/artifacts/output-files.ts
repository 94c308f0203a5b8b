import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import picomatch from "picomatch";
import { UnreadableOutput } from "./unreadable-output.ts";

/** One member of an artifact: where it is, what it is called inside, and what it is. */
export interface OutputFile {
  /** Path relative to the output folder, with `/`. */
  name: string;
  path: string;
  stats: Stats;
}

/** Directories read at once. */
const readAhead = 8;

/**
 * Everything in an output folder that the patterns name, sorted by name; parents come before their children. A folder
 * that matches brings all it holds; a pattern that starts with `!` takes out again. Links are members, never followed.
 */
export async function listOutputFiles(outputDir: string, patterns: readonly string[]): Promise<OutputFile[]> {
  if (!(await checkOutputFolder(outputDir))) return [];
  const selects = createSelector(patterns);
  const found: OutputFile[] = [];
  let folders = [{ name: "", selected: false }];
  while (folders.length > 0) {
    const batch = folders.splice(0, readAhead);
    const inner = await Promise.all(batch.map((folder) => listFolder(outputDir, folder, selects, found)));
    folders = [...inner.flat(), ...folders];
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Whether there is an output folder. The job owns the place and may have put anything there: a link in its stead could
 * lead to any folder of the machine, so nothing but a real folder is read.
 */
async function checkOutputFolder(outputDir: string): Promise<boolean> {
  const stats = await lstatOrGone(outputDir);
  if (stats === undefined) return false;
  if (stats.isDirectory()) return true;
  const what = stats.isSymbolicLink() ? "a link" : "something else";
  throw new UnreadableOutput(`the task put ${what} in the place of its output folder; write into the folder instead`);
}

type Folder = { name: string; selected: boolean };

async function listFolder(
  outputDir: string,
  folder: Folder,
  selects: (name: string, parentSelected: boolean) => boolean,
  found: OutputFile[],
): Promise<Folder[]> {
  const inner: Folder[] = [];
  for (const base of await readNames(join(outputDir, folder.name))) {
    const name = folder.name === "" ? base : `${folder.name}/${base}`;
    const path = join(outputDir, name);
    const stats = await lstatOrGone(path);
    if (stats === undefined) continue;
    const selected = selects(name, folder.selected);
    if (selected && (stats.isFile() || stats.isDirectory() || stats.isSymbolicLink())) {
      found.push({ name, path, stats });
    }
    if (stats.isDirectory()) inner.push({ name, selected });
  }
  return inner;
}

/** The names in a folder, none where it is gone since it was listed. A name that is no UTF-8 cannot be archived. */
async function readNames(folder: string): Promise<string[]> {
  try {
    const names = await readdir(folder, { encoding: "buffer" });
    return names.map((bytes) => {
      const name = bytes.toString("utf8");
      if (Buffer.from(name, "utf8").equals(bytes)) return name;
      throw new UnreadableOutput(
        `the output file '${bytes.toString("latin1")}' has a name that is not UTF-8; rename it`,
      );
    });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

async function lstatOrGone(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function createSelector(patterns: readonly string[]): (name: string, parentSelected: boolean) => boolean {
  const compile = (pattern: string) => picomatch(pattern.replace(/^\.\//, "").replace(/\/$/, ""), { dot: true });
  const included = patterns.filter((pattern) => !pattern.startsWith("!")).map(compile);
  const excluded = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => compile(pattern.slice(1)));
  // Only exclusions: everything but them.
  const includesAll = included.length === 0 || patterns.includes("**");
  return (name, parentSelected) =>
    (parentSelected || includesAll || included.some((matches) => matches(name))) &&
    !excluded.some((matches) => matches(name));
}
