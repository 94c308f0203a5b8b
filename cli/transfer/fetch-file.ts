import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readStoredBytes, StoredBytesError } from "../../shared/api-client/stored-bytes.ts";

/** What is fetched, what it must be, and where it goes. */
export interface FetchFileOptions {
  /** A presigned URL, new each time; nothing else authorises the call. */
  link: () => Promise<string>;
  target: string;
  size: number;
  /** Hexadecimal. */
  sha256: string;
  signal: AbortSignal;
}

/** Whether the file is there, checked, or why not. */
export type FetchFileResult = { ok: true } | { ok: false; message: string };

/** How often the whole of it is fetched where what came was not what was stored. */
const tries = 3;

/**
 * Downloads a file with flat memory, checks size and sha256, and puts it in place in one step: readers see the whole
 * file or none. A download that breaks off is resumed. Throws only for what is wrong on this side (the disk, an
 * interrupt).
 */
export async function fetchFile(options: FetchFileOptions): Promise<FetchFileResult> {
  const { target, size, sha256, signal } = options;
  const partial = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.part`);
  const file = await open(partial, "ax", 0o644);
  try {
    for (let tried = 1; ; tried++) {
      await file.truncate(0);
      const received = await download(options, file);
      if (!received.ok && !received.isChanged) return received;
      if (received.ok && received.size === size && received.sha256 === sha256) break;
      if (tried < tries) continue;
      if (!received.ok) return received;
      const message = `what came is not what was stored (${received.size} of ${size} bytes, sha256 ${received.sha256})`;
      return { ok: false, message };
    }
    await file.close();
    signal.throwIfAborted();
    await rename(partial, target);
    return { ok: true };
  } finally {
    await file.close();
    await rm(partial, { force: true });
  }
}

type Download =
  | { ok: true; size: number; sha256: string }
  /** `isChanged`: the object is another one than when it was begun. */
  | { ok: false; message: string; isChanged: boolean };

async function download({ link, signal, size }: FetchFileOptions, file: FileHandle): Promise<Download> {
  const hash = createHash("sha256");
  let received = 0;
  try {
    for await (const chunk of readStoredBytes({ link, signal, isFinal: (status) => status === 404 })) {
      received += chunk.length;
      hash.update(chunk);
      // More than there should be: no reason to fill the disk with it.
      if (received > size) break;
      await file.appendFile(chunk);
    }
    return { ok: true, size: received, sha256: hash.digest("hex") };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof StoredBytesError)) throw error;
    return { ok: false, message: error.message, isChanged: error.status === 412 || error.status === 416 };
  }
}
