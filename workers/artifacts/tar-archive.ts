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
import { encodeTarHeader, largestTarHeader, paddingBytes, type TarMember, tarEnd } from "./tar-header.ts";

const readAsync = promisify(read);
const closeAsync = promisify(close);

/** Bytes of an archive that are handed on, and compressed, at once. */
const frameBytes: number = 2 * 1024 * 1024;
/** What holes of files are handed on as: always the same, so that nothing is done about each of them. */
export const zeroFrame: Buffer = Buffer.alloc(frameBytes);
/**
 * Files up to this size are read in one go without handing the calls to other threads: for many small files that costs
 * several times what the calls do, and the threads are busy compressing.
 */
const smallFileBytes = 256 * 1024;
/** Other work of the process has its turn after this long. */
const turnMs = 5;
/** A link or a pipe that took a file's place since it was listed is neither followed nor waited for. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Who is told of what is packed: of each member as it is in the archive, and of what is missing there. */
interface Listeners {
  onProblem: (problem: OutputProblem) => void;
  onMember: (member: TarMember) => void;
}

/** A file that is not read in one go. Whoever takes it closes it. */
interface LargeFile {
  file: number;
  stats: Stats;
}

/**
 * The bytes of a tar archive of output, in its order, in frames of up to `frameBytes`, with flat memory. What cannot be
 * read, or is gone since it was listed, is left out and told; a file that becomes shorter while it is read is filled up
 * with zeros and told.
 */
export async function* createTarArchive(
  entries: AsyncIterable<OutputEntry>,
  onProblem: (problem: OutputProblem) => void,
  onMember: (member: TarMember) => void = () => undefined,
): AsyncGenerator<Buffer> {
  const listeners = { onProblem, onMember };
  const frame = new Frame();
  let turnAtMs = performance.now();
  for await (const entry of entries) {
    if (performance.now() - turnAtMs > turnMs) {
      await setImmediate();
      turnAtMs = performance.now();
    }
    // Headers and small files lie in one frame: what a file really had is known when it was read.
    if (frame.room < largestTarHeader(entry.name) + smallFileBytes) yield frame.take();
    const large = addEntry(frame, entry, listeners);
    if (large !== undefined) yield* addLargeFile(frame, entry.name, large, listeners);
  }
  if (frame.room < tarEnd.length) yield frame.take();
  frame.add(tarEnd);
  yield frame.take();
}

/** What was added last to an archive, and the room for more. */
class Frame {
  #bytes = Buffer.allocUnsafe(frameBytes);
  #filled = 0;

  get room(): number {
    return frameBytes - this.#filled;
  }

  /** The room from an offset on, where bytes can be put that are added afterwards. */
  ahead(offset: number, bytes: number): Buffer {
    return this.#bytes.subarray(this.#filled + offset, this.#filled + offset + bytes);
  }

  /** Adds bytes that were put ahead. */
  advance(bytes: number): void {
    this.#filled += bytes;
  }

  add(bytes: Buffer): void {
    this.#filled += bytes.copy(this.#bytes, this.#filled);
  }

  addZeros(bytes: number): void {
    this.ahead(0, bytes).fill(0);
    this.#filled += bytes;
  }

  /** Hands out what was added and begins anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#filled);
    this.#filled = 0;
    if (taken.equals(zeroFrame)) return zeroFrame;
    this.#bytes = Buffer.allocUnsafe(frameBytes);
    return taken;
  }
}

/** Adds all of a member, unless it is a large file. */
function addEntry(frame: Frame, entry: OutputEntry, listeners: Listeners): LargeFile | undefined {
  const { name } = entry;
  if (entry.kind === "folder") {
    addMember(frame, { ...entry, size: 0 }, listeners);
    return undefined;
  }
  const path = entry.folder.pathOf(entry.base);
  try {
    if (entry.kind === "file") return addFile(frame, name, path, listeners);
    const { mode, mtimeMs } = lstatSync(path);
    const target = readlinkSync(path, { encoding: "buffer" });
    addMember(frame, { kind: "link", name, mode, mtimeMs, size: 0, target }, listeners);
  } catch (error) {
    listeners.onProblem(describeProblem(name, error));
  }
  return undefined;
}

function addMember(frame: Frame, member: TarMember, { onMember }: Listeners): void {
  frame.add(encodeTarHeader(member));
  onMember(member);
}

function addFile(frame: Frame, name: Buffer, path: Buffer, listeners: Listeners): LargeFile | undefined {
  const file = openSync(path, readFlags);
  let isHandedOn = false;
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) {
      listeners.onProblem({ kind: "changed", name: showName(name), why: "it is no longer a file" });
      return undefined;
    }
    if (stats.size > smallFileBytes) {
      isHandedOn = true;
      return { file, stats };
    }
    const { mode, mtimeMs } = stats;
    let header = encodeTarHeader({ kind: "file", name, mode, mtimeMs, size: stats.size });
    const content = frame.ahead(header.length, stats.size);
    let size = 0;
    for (let bytesRead = -1; size < stats.size && bytesRead !== 0; size += bytesRead) {
      bytesRead = readSync(file, content, size, stats.size - size, size);
    }
    // Read at once, so that a file that became shorter is whole at its new size.
    if (size < stats.size) header = encodeTarHeader({ kind: "file", name, mode, mtimeMs, size });
    frame.add(header);
    listeners.onMember({ kind: "file", name, mode, mtimeMs, size });
    frame.advance(size);
    frame.addZeros(paddingBytes(size));
    return undefined;
  } finally {
    if (!isHandedOn) closeSync(file);
  }
}

async function* addLargeFile(
  frame: Frame,
  name: Buffer,
  { file, stats }: LargeFile,
  listeners: Listeners,
): AsyncGenerator<Buffer> {
  const { size, mode, mtimeMs } = stats;
  try {
    addMember(frame, { kind: "file", name, mode, mtimeMs, size }, listeners);
    // A file that still grows ends in the archive where it ended when it was opened.
    let left = size;
    while (left > 0) {
      if (frame.room === 0) yield frame.take();
      const room = frame.ahead(0, Math.min(frame.room, left));
      const bytesRead = await readPiece(file, room, size - left).catch((error: unknown) => error as Error);
      if (bytesRead instanceof Error || bytesRead === 0) {
        const why = bytesRead === 0 ? "it became shorter while it was archived" : bytesRead.message;
        const kind = bytesRead === 0 ? "changed" : "unreadable";
        listeners.onProblem({ kind, name: showName(name), why: `${why}; its end is filled with zeros` });
        break;
      }
      frame.advance(bytesRead);
      left -= bytesRead;
    }
    for (left += paddingBytes(size); left > 0; ) {
      if (frame.room === 0) yield frame.take();
      const zeros = Math.min(frame.room, left);
      frame.addZeros(zeros);
      left -= zeros;
    }
  } finally {
    await closeAsync(file);
  }
}

async function readPiece(file: number, buffer: Buffer, position: number): Promise<number> {
  return (await readAsync(file, buffer, 0, buffer.length, position)).bytesRead;
}
