import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync } from "node:fs";
import { hasCode } from "../../shared/error-code.ts";
import { messageOf } from "../retry.ts";
import { type OutputProblem, showName, UnreadableOutput } from "./output-problem.ts";
import { createSelector, type OutputPatterns } from "./output-selector.ts";

/**
 * One member of an artifact, in the order of the archive. Names are bytes: nothing makes a job use UTF-8. Its folder is
 * open until the next one is asked for.
 */
export type OutputEntry =
  | { kind: "folder"; name: Buffer; mode: number; mtimeMs: number }
  | { kind: "file" | "link"; name: Buffer; base: Buffer; folder: OpenFolder };

/** Folders are held open from the top to where the walk is; no sensible output is nested deeper than this. */
const maxDepth = 250;
/** A link in the place of a folder is not followed, wherever it leads. */
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const slash = Buffer.from("/");

/**
 * A folder that is held open while the walk is in it. A task that still runs may put a link in the place of
 * any folder at any moment: what is opened through the handle is inside of the very folder that was walked into.
 */
export class OpenFolder {
  readonly #descriptor: number;
  readonly #path: Buffer;

  /** Throws where there is no folder. */
  constructor(path: Buffer) {
    this.#descriptor = openSync(path, folderFlags);
    this.#path = path;
  }

  /** The path that leads to something in this folder. */
  pathOf(base: Buffer): Buffer {
    return Buffer.concat([this.path, slash, base]);
  }

  /** A path by the handle is also short, however deep the folder is. Only Linux has such paths. */
  get path(): Buffer {
    return process.platform === "linux" ? Buffer.from(`/proc/self/fd/${this.#descriptor}`) : this.#path;
  }

  stat() {
    return fstatSync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * Walks over everything in an output folder that the patterns name; parents come before their children, siblings by
 * their names. Links are members and never followed. What cannot be looked into is told and passed over. The calls are
 * not handed to other threads: they take far less time than waiting there for what is being compressed.
 */
export async function* walkOutput(
  outputDir: string,
  patterns: OutputPatterns,
  onProblem: (problem: OutputProblem) => void,
): AsyncGenerator<OutputEntry> {
  const root = openOutputFolder(outputDir);
  if (root === undefined) return;
  const selects = createSelector(patterns);

  async function* walk(folder: OpenFolder, prefix: Buffer, isSelected: boolean, depth: number) {
    for (const entry of readFolder(folder, prefix, onProblem)) {
      const name = depth === 0 ? entry.name : Buffer.concat([prefix, slash, entry.name]);
      const selection = selects(name.toString("utf8"), isSelected);
      if (selection === "excluded") continue;
      if (entry.isDirectory()) yield* enter(folder, { name, base: entry.name }, selection === "selected", depth + 1);
      else if (selection === "selected" && (entry.isFile() || entry.isSymbolicLink())) {
        yield { kind: entry.isFile() ? "file" : "link", name, base: entry.name, folder } as const;
      }
    }
  }

  async function* enter(
    parent: OpenFolder,
    { name, base }: { name: Buffer; base: Buffer },
    isSelected: boolean,
    depth: number,
  ): AsyncGenerator<OutputEntry> {
    if (depth > maxDepth) {
      onProblem({ kind: "unreadable", name: showName(name), why: `it is nested deeper than ${maxDepth} folders` });
      return;
    }
    const folder = openInside(parent, { name, base }, onProblem);
    if (folder === undefined) return;
    try {
      const { mode, mtimeMs } = folder.stat();
      if (isSelected) yield { kind: "folder", name, mode, mtimeMs };
      yield* walk(folder, name, isSelected, depth);
    } finally {
      folder.close();
    }
  }

  try {
    yield* walk(root, Buffer.alloc(0), false, 0);
  } finally {
    root.close();
  }
}

/** Why something could not be read, as a problem of the artifact. */
export function describeProblem(name: Buffer, error: unknown): OutputProblem {
  if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP"))
    return { kind: "changed", name: showName(name), why: "it vanished" };
  const why = hasCode(error, "EACCES", "EPERM")
    ? "permission denied for the worker; make it readable in the step, or run the worker as root"
    : messageOf(error);
  return { kind: "unreadable", name: showName(name), why };
}

/**
 * The output folder, undefined where there is none. The job owns the place and may have put anything there: a link in
 * its stead could lead to any folder of the machine, so nothing but a real folder is read.
 */
function openOutputFolder(outputDir: string): OpenFolder | undefined {
  try {
    return new OpenFolder(Buffer.from(outputDir));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    if (hasCode(error, "ELOOP", "ENOTDIR")) {
      const why = "the task put something else in the place of its output folder; write into the folder instead";
      throw new UnreadableOutput(why, error);
    }
    throw new UnreadableOutput(`its output folder cannot be read: ${messageOf(error)}`, error);
  }
}

function openInside(
  parent: OpenFolder,
  { name, base }: { name: Buffer; base: Buffer },
  onProblem: (problem: OutputProblem) => void,
): OpenFolder | undefined {
  try {
    return new OpenFolder(parent.pathOf(base));
  } catch (error) {
    onProblem(describeProblem(name, error));
    return undefined;
  }
}

function readFolder(folder: OpenFolder, name: Buffer, onProblem: (problem: OutputProblem) => void): Dirent<Buffer>[] {
  try {
    const entries = readdirSync(folder.path, { encoding: "buffer", withFileTypes: true });
    return entries.sort((a, b) => Buffer.compare(a.name, b.name));
  } catch (error) {
    onProblem(describeProblem(name, error));
    return [];
  }
}
