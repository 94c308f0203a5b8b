import { randomBytes } from "node:crypto";
import type { Dirent } from "node:fs";
import { copyFile, type FileHandle, link, mkdir, open, opendir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "./logger.ts";

/** A run of bytes of an object: one file, whole. */
export interface Segment {
  blobId: string;
  sizeBytes: number;
}

/** Bytes collected before they go to disk in one call; up to twice as much is in memory for each upload. */
const flushBytes = 1024 * 1024;
const readBytes = 256 * 1024;
const shards = 16;

/**
 * The files that hold the bodies too large for the index. A file has a name that is never used twice and is complete
 * and flushed before the index refers to it, so nobody can see half of one; there is no need to rename anything.
 * Files nobody refers to (an upload was cut off, the process was killed) are removed after the next start.
 */
export class BlobStore {
  readonly #dir: string;
  readonly #logger: Logger;
  /** Part of every file's name: tells this run's files from those an earlier run left behind. */
  readonly #run: string;
  readonly #madeShards = new Set<string>();
  readonly #readers = new Map<string, number>();
  readonly #doomed = new Set<string>();
  readonly #removals = new Set<Promise<void>>();
  #sequence = 0;

  constructor(dir: string, run: number, logger: Logger) {
    this.#dir = dir;
    this.#logger = logger;
    this.#run = `${run.toString(36)}${randomBytes(2).toString("hex")}`;
  }

  /** Starts a file. */
  async create(): Promise<BlobWriter> {
    const blobId = await this.#nextId();
    return new BlobWriter(blobId, await open(this.#path(blobId), "wx"));
  }

  /** A second file with the same content, without copying where the file system can do that. */
  async duplicate(segment: Segment): Promise<Segment> {
    this.pin([segment]);
    try {
      const blobId = await this.#nextId();
      await link(this.#path(segment.blobId), this.#path(blobId)).catch(async (error: NodeJS.ErrnoException) => {
        // No hard links here (some network and FAT file systems), or too many to this file.
        if (!["EPERM", "ENOTSUP", "EMLINK", "ENOSYS", "EOPNOTSUPP"].includes(error.code ?? "")) throw error;
        await copyFile(this.#path(segment.blobId), this.#path(blobId));
      });
      return { blobId, sizeBytes: segment.sizeBytes };
    } finally {
      this.unpin([segment]);
    }
  }

  /** Keeps files on disk while they are read, even if they are removed meanwhile. Ends with `unpin`. */
  pin(segments: readonly Segment[]): void {
    for (const { blobId } of segments) this.#readers.set(blobId, (this.#readers.get(blobId) ?? 0) + 1);
  }

  unpin(segments: readonly Segment[]): void {
    for (const { blobId } of segments) {
      const readers = (this.#readers.get(blobId) ?? 0) - 1;
      if (readers > 0) {
        this.#readers.set(blobId, readers);
        continue;
      }
      this.#readers.delete(blobId);
      if (this.#doomed.delete(blobId)) this.#unlink(blobId);
    }
  }

  /** Removes files, those being read as soon as that has ended. */
  remove(blobIds: readonly string[]): void {
    for (const blobId of blobIds) {
      if (this.#readers.has(blobId)) this.#doomed.add(blobId);
      else this.#unlink(blobId);
    }
  }

  /**
   * Reads bytes `firstByte` to `lastByte` (both included) of the concatenation of segments, which the caller has
   * pinned. Each buffer is valid until the next one is asked for: one buffer serves the whole read.
   */
  async *read(segments: readonly Segment[], firstByte: number, lastByte: number): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.min(readBytes, Math.max(lastByte - firstByte + 1, 0)));
    let segmentStart = 0;
    for (const { blobId, sizeBytes } of segments) {
      const start = Math.max(firstByte - segmentStart, 0);
      const end = Math.min(lastByte - segmentStart + 1, sizeBytes);
      segmentStart += sizeBytes;
      if (start >= end) continue;
      const handle = await open(this.#path(blobId), "r");
      try {
        for (let position = start; position < end; ) {
          const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, end - position), position);
          if (bytesRead === 0) throw new Error(`${this.#path(blobId)} is shorter than the index says`);
          position += bytesRead;
          yield buffer.subarray(0, bytesRead);
        }
      } finally {
        await handle.close();
      }
    }
  }

  /** Removes the files of earlier runs that `isKnown` does not know; gives their number. Stops when aborted. */
  async sweepOrphans(isKnown: (blobId: string) => boolean, signal: AbortSignal): Promise<number> {
    let removed = 0;
    await mkdir(this.#dir, { recursive: true });
    for await (const shard of await opendir(this.#dir)) {
      if (!shard.isDirectory()) continue;
      for await (const file of await opendir(join(this.#dir, shard.name))) {
        if (signal.aborted) return removed;
        if (!this.#isOrphan(file, isKnown)) continue;
        await rm(join(this.#dir, shard.name, file.name), { force: true });
        removed += 1;
      }
    }
    return removed;
  }

  /** Waits for removals under way. */
  async close(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #isOrphan(file: Dirent, isKnown: (blobId: string) => boolean): boolean {
    // A reader may still be busy with the file of an object that was deleted a moment ago.
    const isOwn = file.name.startsWith(`${this.#run}-`) || this.#readers.has(file.name);
    return file.isFile() && !isOwn && !isKnown(file.name);
  }

  async #nextId(): Promise<string> {
    this.#sequence += 1;
    const blobId = `${this.#run}-${this.#sequence.toString(36)}`;
    const shard = shardOf(blobId);
    if (!this.#madeShards.has(shard)) {
      await mkdir(join(this.#dir, shard), { recursive: true });
      this.#madeShards.add(shard);
    }
    return blobId;
  }

  #path(blobId: string): string {
    return join(this.#dir, shardOf(blobId), blobId);
  }

  #unlink(blobId: string): void {
    const removal = rm(this.#path(blobId), { force: true })
      .catch((error: unknown) => this.#logger.warn({ err: error, blobId }, "a file of a removed object stays behind"))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
  }
}

function shardOf(blobId: string): string {
  const sequence = Number.parseInt(blobId.slice(blobId.indexOf("-") + 1), 36);
  return (sequence % shards).toString(16).padStart(2, "0");
}

/** Writes one file. While a piece goes to disk the next one is collected; `write` waits when both are full. */
export class BlobWriter {
  readonly blobId: string;
  readonly #handle: FileHandle;
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: { error: unknown } | undefined;

  constructor(blobId: string, handle: FileHandle) {
    this.blobId = blobId;
    this.#handle = handle;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#collected.push(chunk);
    this.#collectedBytes += chunk.length;
    if (this.#collectedBytes >= flushBytes) await this.#flush();
  }

  /** Completes the file: after this its content survives a power cut. */
  async finish(): Promise<void> {
    await this.#flush();
    await this.#writing;
    this.#throwFailure();
    await this.#handle.datasync();
    await this.#handle.close();
  }

  /** Lets the handle go after a failure; removing the file is up to the caller. */
  async abandon(): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }

  async #flush(): Promise<void> {
    await this.#writing;
    this.#throwFailure();
    const buffers = this.#collected;
    this.#collected = [];
    this.#collectedBytes = 0;
    // The outcome is kept, not thrown: nobody may be waiting at the moment the disk fails.
    this.#writing = writeAll(this.#handle, buffers).catch((error: unknown) => {
      this.#failure = { error };
    });
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

async function writeAll(handle: FileHandle, buffers: Buffer[]): Promise<void> {
  let rest = buffers;
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest);
    const left: Buffer[] = [];
    for (const buffer of rest) {
      if (bytesWritten < buffer.length) left.push(buffer.subarray(bytesWritten));
      bytesWritten = Math.max(bytesWritten - buffer.length, 0);
    }
    rest = left;
  }
}
