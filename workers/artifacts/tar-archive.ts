import { close, constants, fstat, lstat, open, read, readlink, type Stats } from "node:fs";
import { promisify } from "node:util";
import { describeProblem, type OutputEntry } from "./output-files.ts";
import { type OutputProblem, showName } from "./output-problem.ts";
import { encodeTarHeader, paddingBytes, tarEnd } from "./tar-header.ts";

// Many small files: a file handle's promises cost several times what the calls themselves do.
const files = {
  open: promisify(open),
  fstat: promisify(fstat),
  read: promisify(read),
  close: promisify(close),
  lstat: promisify(lstat),
  readlink: promisify(readlink) as (path: Buffer, options: { encoding: "buffer" }) => Promise<Buffer>,
};

/** Files up to this size are read whole and ahead of their turn. */
const smallFileBytes = 256 * 1024;
const filesAhead = 16;
const pieceBytes = 1024 * 1024;
/** A link or a pipe that took a file's place since it was listed is neither followed nor waited for. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What is at a member's place, ready for its turn. Open files are closed by whoever takes them. */
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
  const ahead: { name: Buffer; loaded: Promise<Loaded> }[] = [];
  try {
    for await (const entry of entries) {
      ahead.push({ name: entry.name, loaded: loadEntry(entry) });
      if (ahead.length >= filesAhead) yield* emitNext(ahead, onProblem);
    }
    while (ahead.length > 0) yield* emitNext(ahead, onProblem);
    yield tarEnd;
  } finally {
    // Nobody takes what was opened ahead when the archive is given up.
    for (const { loaded } of ahead) await discard(await loaded);
  }
}

async function* emitNext(
  ahead: { name: Buffer; loaded: Promise<Loaded> }[],
  onProblem: (problem: OutputProblem) => void,
): AsyncGenerator<Buffer> {
  const next = ahead.shift();
  if (next === undefined) return;
  const loaded = await next.loaded;
  switch (loaded.kind) {
    case "bytes":
      yield loaded.bytes;
      break;
    case "large":
      yield* readLargeFile(next.name, loaded, onProblem);
      break;
    case "problem":
      onProblem(loaded.problem);
      break;
  }
}

/** Never rejects: what is read ahead may fail long before its turn. The entry's folder stays open until it is loaded. */
async function loadEntry(entry: OutputEntry): Promise<Loaded> {
  const { name } = entry;
  if (entry.kind === "folder") return { kind: "bytes", bytes: encodeTarHeader({ ...entry, size: 0 }) };
  const { folder, base } = entry;
  folder.retain();
  try {
    const path = folder.pathOf(base);
    if (entry.kind === "file") return await loadFile(name, path);
    const { mode, mtimeMs } = await files.lstat(path);
    const target = await files.readlink(path, { encoding: "buffer" });
    return { kind: "bytes", bytes: encodeTarHeader({ kind: "link", name, mode, mtimeMs, size: 0, target }) };
  } catch (error) {
    return { kind: "problem", problem: describeProblem(name, error) };
  } finally {
    await folder.release();
  }
}

async function loadFile(name: Buffer, path: Buffer): Promise<Loaded> {
  const file = await files.open(path, readFlags);
  let isHandedOn = false;
  try {
    const stats = await files.fstat(file);
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
      ({ bytesRead } = await files.read(file, content, size, stats.size - size, size));
    }
    // Read at once, so that a file that became shorter is whole at its new size.
    const header = encodeTarHeader({ kind: "file", name, mode: stats.mode, mtimeMs: stats.mtimeMs, size });
    return {
      kind: "bytes",
      bytes: Buffer.concat([header, content.subarray(0, size), Buffer.alloc(paddingBytes(size))]),
    };
  } finally {
    if (!isHandedOn) await files.close(file);
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
    await files.close(file);
  }
}

async function readPiece(file: number, buffer: Buffer, position: number): Promise<number> {
  return (await files.read(file, buffer, 0, buffer.length, position)).bytesRead;
}

async function discard(loaded: Loaded): Promise<void> {
  if (loaded.kind === "large") await files.close(loaded.file);
}
