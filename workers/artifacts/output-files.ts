import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import picomatch from "picomatch";

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

type Folder = { name: string; selected: boolean };

async function listFolder(
  outputDir: string,
  folder: Folder,
  selects: (name: string, parentSelected: boolean) => boolean,
  found: OutputFile[],
): Promise<Folder[]> {
  const inner: Folder[] = [];
  const names = await readdir(join(outputDir, folder.name));
  for (const base of names) {
    const name = folder.name === "" ? base : `${folder.name}/${base}`;
    const path = join(outputDir, name);
    const stats = await lstat(path);
    const selected = selects(name, folder.selected);
    if (selected && (stats.isFile() || stats.isDirectory() || stats.isSymbolicLink())) {
      found.push({ name, path, stats });
    }
    if (stats.isDirectory()) inner.push({ name, selected });
  }
  return inner;
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
