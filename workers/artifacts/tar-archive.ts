import {
  close,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  read,
  readlinkSync,
  readSync,
  type Stats,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { promisify } from "node:util";
import { describeProblem, type OutputEntry } from "./output-files.ts";
import { type OutputProblem, showName } from "./output-problem.ts";
import { encodeTarHeader, paddingBytes, tarEnd } from "./tar-header.ts";

const readAsync = promisify(read);
const closeAsync = promisify(close);

/**
 * Files up to this size are read in one go without handing the calls to other threads: for many small files that costs
 * several times what the calls do, and the threads are busy compressing.
 */
const smallFileBytes = 256 * 1024;
/** Other work of the process has its turn after this long. */
const turnMs = 5;
const pieceBytes = 1024 * 1024;
/** A link or a pipe that took a file's place since it was listed is neither followed nor waited for. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What is at a member's place. An open file is closed by whoever takes it. */
type Loaded =
  | { kind: "bytes"; bytes: Buffer }
  | { kind: "large"; file: number; stats: Stats }
  | { kind: "problem"; problem: OutputProblem };

/**
 * The bytes of a tar archive of output, in its order, with flat memory. What cannot be read, or is gone since it was
 * listed, is left out and told; a file that becomes shorter while it is read is filled up with zeros and told.
 */
export async function* createTarArchive(
  entries: AsyncIterable<OutputEntry>,
  onProblem: (problem: OutputProblem) => void,
): AsyncGenerator<Buffer> {
  let turnAtMs = performance.now();
  for await (const entry of entries) {
    if (performance.now() - turnAtMs > turnMs) {
      await setImmediate();
      turnAtMs = performance.now();
    }
    const loaded = loadEntry(entry);
    switch (loaded.kind) {
      case "bytes":
        yield loaded.bytes;
        break;
      case "large":
        yield* readLargeFile(entry.name, loaded, onProblem);
        break;
      case "problem":
        onProblem(loaded.problem);
        break;
    }
  }
  yield tarEnd;
}

function loadEntry(entry: OutputEntry): Loaded {
  const { name } = entry;
  if (entry.kind === "folder") return { kind: "bytes", bytes: encodeTarHeader({ ...entry, size: 0 }) };
  const path = entry.folder.pathOf(entry.base);
  try {
    if (entry.kind === "file") return loadFile(name, path);
    const { mode, mtimeMs } = lstatSync(path);
    const target = readlinkSync(path, { encoding: "buffer" });
    return { kind: "bytes", bytes: encodeTarHeader({ kind: "link", name, mode, mtimeMs, size: 0, target }) };
  } catch (error) {
    return { kind: "problem", problem: describeProblem(name, error) };
  }
}

function loadFile(name: Buffer, path: Buffer): Loaded {
  const file = openSync(path, readFlags);
  let isHandedOn = false;
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) {
      return { kind: "problem", problem: { kind: "changed", name: showName(name), why: "it is no longer a file" } };
    }
    if (stats.size > smallFileBytes) {
      isHandedOn = true;
      return { kind: "large", file, stats };
    }
    const content = Buffer.allocUnsafe(stats.size);
    let size = 0;
    for (let bytesRead = -1; size < stats.size && bytesRead !== 0; size += bytesRead) {
      bytesRead = readSync(file, content, size, stats.size - size, size);
    }
    // Read at once, so that a file that became shorter is whole at its new size.
    const header = encodeTarHeader({ kind: "file", name, mode: stats.mode, mtimeMs: stats.mtimeMs, size });
    return {
      kind: "bytes",
      bytes: Buffer.concat([header, content.subarray(0, size), Buffer.alloc(paddingBytes(size))]),
    };
  } finally {
    if (!isHandedOn) closeSync(file);
  }
}

async function* readLargeFile(
  name: Buffer,
  { file, stats }: { file: number; stats: Stats },
  onProblem: (problem: OutputProblem) => void,
): AsyncGenerator<Buffer> {
  const { size, mode, mtimeMs } = stats;
  try {
    yield encodeTarHeader({ kind: "file", name, mode, mtimeMs, size });
    // A file that still grows ends in the archive where it ended when it was opened.
    let position = 0;
    while (position < size) {
      const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, size - position));
      const bytesRead = await readPiece(file, buffer, position).catch((error: unknown) => error as Error);
      if (bytesRead instanceof Error || bytesRead === 0) {
        const why = bytesRead === 0 ? "it became shorter while it was archived" : bytesRead.message;
        const kind = bytesRead === 0 ? "changed" : "unreadable";
        onProblem({ kind, name: showName(name), why: `${why}; its end is filled with zeros` });
        break;
      }
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    for (let left = size - position; left > 0; left -= pieceBytes) yield Buffer.alloc(Math.min(pieceBytes, left));
    yield Buffer.alloc(paddingBytes(size));
  } finally {
    await closeAsync(file);
  }
}

async function readPiece(file: number, buffer: Buffer, position: number): Promise<number> {
  return (await readAsync(file, buffer, 0, buffer.length, position)).bytesRead;
}
