import { constants } from "node:fs";
import { type FileHandle, open, readFile, readlink } from "node:fs/promises";
import { Header, Pax } from "tar";
import type { OutputFile } from "./output-files.ts";
import { UnreadableOutput } from "./unreadable-output.ts";

/** Files up to this size are read whole and ahead of their turn. */
const smallFileBytes = 128 * 1024;
const filesAhead = 16;
/** The archive is handed on in pieces of at least this size: each costs a trip through the compressor's thread. */
const pieceBytes = 512 * 1024;
const tarBlockBytes = 512;
/** A link that took a file's place since it was listed is not followed, wherever it leads. */
const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW;

/**
 * The bytes of a tar archive of files, in their order. Memory is flat; a file that cannot be read ends it with an error that
 * names it, one that is gone since it was listed is left out and told to `onGone`.
 */
export async function* createTarArchive(
  files: readonly OutputFile[],
  onGone: (name: string) => void,
): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const piece of createTarPieces(files, onGone)) {
    pending.push(piece);
    pendingBytes += piece.length;
    if (pendingBytes < pieceBytes) continue;
    yield pending.length === 1 ? piece : Buffer.concat(pending, pendingBytes);
    pending = [];
    pendingBytes = 0;
  }
  // An archive ends with two empty blocks.
  yield Buffer.concat([...pending, Buffer.alloc(2 * tarBlockBytes)]);
}

async function* createTarPieces(files: readonly OutputFile[], onGone: (name: string) => void): AsyncGenerator<Buffer> {
  const ahead: Promise<Loaded>[] = [];
  let next = 0;
  for (const file of files) {
    for (; next < files.length && ahead.length < filesAhead; next++) ahead.push(loadFile(files[next] ?? file));
    const loaded = await ahead.shift();
    switch (loaded?.kind) {
      case "failed":
        throw explainUnreadable(file, loaded.error);
      case "gone":
        onGone(file.name);
        break;
      case "folder":
        yield encodeHeader(file, { path: `${file.name}/`, type: "Directory", size: 0 });
        break;
      case "link":
        yield encodeHeader(file, { path: file.name, type: "SymbolicLink", linkpath: loaded.target, size: 0 });
        break;
      case "content":
        yield encodeHeader(file, { path: file.name, type: "File", size: loaded.content.length });
        yield loaded.content;
        yield padding(loaded.content.length);
        break;
      case "large":
        yield* readLargeFile(file);
        break;
    }
  }
}

type Loaded =
  | { kind: "content"; content: Buffer }
  | { kind: "link"; target: string }
  | { kind: "folder" }
  | { kind: "large" }
  | { kind: "gone" }
  | { kind: "failed"; error: unknown };

/** Never rejects: what is read ahead may fail long before its turn. */
async function loadFile(file: OutputFile): Promise<Loaded> {
  try {
    if (file.stats.isDirectory()) return { kind: "folder" };
    if (file.stats.isSymbolicLink()) return { kind: "link", target: await readlink(file.path) };
    if (file.stats.size > smallFileBytes) return { kind: "large" };
    return { kind: "content", content: await readFile(file.path, { flag: readFlags }) };
  } catch (error) {
    return hasCode(error, "ENOENT") ? { kind: "gone" } : { kind: "failed", error };
  }
}

async function* readLargeFile(file: OutputFile): AsyncGenerator<Buffer> {
  let handle: FileHandle;
  try {
    handle = await open(file.path, readFlags);
  } catch (error) {
    throw explainUnreadable(file, error);
  }
  try {
    const { size } = await handle.stat();
    yield encodeHeader(file, { path: file.name, type: "File", size });
    // A file that still grows ends in the archive where it ended when it was opened.
    for (let position = 0; position < size; ) {
      const buffer = Buffer.allocUnsafe(Math.min(pieceBytes, size - position));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) throw new Error(`output file '${file.name}' became shorter while it was archived`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
    yield padding(size);
  } finally {
    await handle.close();
  }
}

type MemberType = "File" | "Directory" | "SymbolicLink";

/** The header of one member; owners are left out, as the machine that unpacks does not know them. */
function encodeHeader(
  file: OutputFile,
  member: { path: string; type: MemberType; size: number; linkpath?: string },
): Buffer {
  const fields = { ...member, mode: file.stats.mode & 0o7777, mtime: file.stats.mtime, uid: 0, gid: 0 };
  const header = new Header(fields);
  const needsPax = header.encode();
  const block = header.block ?? Buffer.alloc(tarBlockBytes);
  if (!needsPax) return block;
  const { path, size, linkpath, mtime } = fields;
  const pax = new Pax({ path, size, mtime, ...(linkpath === undefined ? {} : { linkpath }) });
  return Buffer.concat([pax.encode(), block]);
}

function padding(size: number): Buffer {
  const over = size % tarBlockBytes;
  return Buffer.alloc(over === 0 ? 0 : tarBlockBytes - over);
}

function explainUnreadable(file: OutputFile, error: unknown): UnreadableOutput {
  const why = hasCode(error, "EACCES")
    ? `permission denied for the worker: the file belongs to user ${file.stats.uid} with mode ` +
      `${(file.stats.mode & 0o7777).toString(8)}; make it readable in the step, or run the worker as root`
    : error instanceof Error
      ? error.message
      : String(error);
  return new UnreadableOutput(`output file '${file.name}' cannot be read: ${why}`, error);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
