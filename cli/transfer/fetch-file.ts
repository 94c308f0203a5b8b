import { createHash, randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";

/** What is fetched, what it must be, and where it goes. */
export interface FetchFileOptions {
  /** A presigned URL; nothing else authorises the call. */
  url: string;
  target: string;
  size: number;
  /** Hexadecimal. */
  sha256: string;
  signal: AbortSignal;
  /** Without any byte for this long the download fails. */
  idleTimeoutMs?: number;
}

/** Whether the file is there, checked, or why not; `retry` says that another try with a fresh link may help. */
export type FetchFileResult = { ok: true } | { ok: false; message: string; retry: boolean };

/**
 * Downloads a file with flat memory, checks size and sha256, and puts it in place in one step: readers see the whole
 * file or none. Throws only for what is wrong on this side (the disk, an interrupt).
 */
export async function fetchFile(options: FetchFileOptions): Promise<FetchFileResult> {
  const { target, size, sha256, signal } = options;
  const partial = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.part`);
  try {
    const received = await download(options, partial);
    if (!received.ok) return received;
    if (received.size !== size || received.sha256 !== sha256) {
      const message = `what came is not what was stored (${received.size} of ${size} bytes, sha256 ${received.sha256})`;
      return { ok: false, message, retry: true };
    }
    signal.throwIfAborted();
    await rename(partial, target);
    return { ok: true };
  } finally {
    await rm(partial, { force: true });
  }
}

type Download = { ok: true; size: number; sha256: string } | { ok: false; message: string; retry: boolean };

async function download(options: FetchFileOptions, partial: string): Promise<Download> {
  const { url, signal, idleTimeoutMs = 60_000 } = options;
  const idle = new AbortController();
  const watchdog = setTimeout(() => idle.abort(new Error(`nothing came for ${idleTimeoutMs / 1000} s`)), idleTimeoutMs);
  const hash = createHash("sha256");
  let bytes = 0;
  const tap = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      watchdog.refresh();
      bytes += chunk.length;
      hash.update(chunk);
      // More than there should be: no reason to fill the disk with it.
      if (bytes > options.size) done(new Error(`more than the ${options.size} bytes that were stored came`));
      else done(null, chunk);
    },
  });
  const ends = AbortSignal.any([signal, idle.signal]);
  try {
    const response = await fetch(url, { signal: ends });
    if (!response.ok) {
      await response.body?.cancel();
      const message =
        response.status === 404 ? "it is not in the store any more" : `the store answered ${response.status}`;
      return { ok: false, message, retry: response.status !== 404 };
    }
    const body = response.body ? Readable.fromWeb(response.body as WebStream) : Readable.from([]);
    await pipeline(body, tap, createWriteStream(partial, { mode: 0o644 }), { signal: ends });
    return { ok: true, size: bytes, sha256: hash.digest("hex") };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (isLocalFault(error)) throw error;
    const reason = idle.signal.aborted ? idle.signal.reason : error;
    const cause = reason instanceof Error && reason.cause instanceof Error ? reason.cause : reason;
    return { ok: false, message: cause instanceof Error ? cause.message : String(cause), retry: true };
  } finally {
    clearTimeout(watchdog);
  }
}

/** Faults of the disk: another try would meet them again. */
function isLocalFault(error: unknown): boolean {
  const codes = [
    "ENOSPC",
    "EDQUOT",
    "EACCES",
    "EPERM",
    "EROFS",
    "ENOENT",
    "ENOTDIR",
    "EISDIR",
    "EMFILE",
    "ENAMETOOLONG",
  ];
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}
