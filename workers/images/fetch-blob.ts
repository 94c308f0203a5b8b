import { open, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { createZstdDecompress } from "node:zlib";
import { IdleLimit } from "../idle-limit.ts";
import { messageOf } from "../retry.ts";
import { BlobDamaged, checkDigest, isDamage, isDiskFull, shortenDigest } from "./blob-content.ts";

/** A bucket that sends nothing for this long is asked again. */
const idleMs = 60_000;

/** A blob that cannot be had, however often it is asked for. */
export class BlobUnavailable extends Error {}

/**
 * Fetches a blob as it is stored, compressed, into a new file, and tells the bytes of what it was compressed from: that
 * must have the blob's digest. Leaves no file where it throws.
 */
export async function fetchBlob(url: string, digest: string, file: string, signal: AbortSignal): Promise<number> {
  const idle = new IdleLimit(idleMs);
  const either = AbortSignal.any([signal, idle.signal]);
  let bytes = 0;
  const count = (more: number) => {
    bytes += more;
  };
  const handle = await open(file, "wx", 0o600);
  try {
    const keep = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        idle.moved();
        await handle.appendFile(chunk);
        yield chunk;
      }
    };
    const body = await request(url, digest, either);
    // Nothing is awaited in between: a connection that breaks must find somebody who listens.
    const stored = Readable.fromWeb(body);
    await pipeline(stored, keep, createZstdDecompress(), checkDigest(digest, count), drain, { signal: either });
    return bytes;
  } catch (error) {
    await rm(file, { force: true });
    signal.throwIfAborted();
    throw explain(idle.signal.aborted ? idle.signal.reason : error, digest);
  } finally {
    idle.close();
    await handle.close();
  }
}

async function request(url: string, digest: string, signal: AbortSignal): Promise<ReadableStream> {
  const answer = await fetch(url, { signal });
  if (answer.ok && answer.body !== null) return answer.body as ReadableStream;
  await answer.body?.cancel();
  const { status } = answer;
  const message = `its part ${shortenDigest(digest)} was answered with HTTP status ${status}${explainStatus(status)}`;
  const isRefused = status >= 400 && status < 500 && status !== 408 && status !== 429;
  throw isRefused ? new BlobUnavailable(message) : new Error(message);
}

function explainStatus(status: number): string {
  if (status === 404) return ": it is not in the bucket any more; run the job again, which ships it";
  if (status === 403) return ": its link has ended; the task's next attempt gets another";
  return "";
}

async function drain(content: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of content);
}

function explain(error: unknown, digest: string): unknown {
  if (error instanceof BlobUnavailable || isDiskFull(error)) return error;
  const part = `its part ${shortenDigest(digest)}`;
  if (isDamage(error)) return new BlobDamaged(`${part} is damaged: ${messageOf(error)}`, { cause: error });
  // `fetch` says only that it failed; why is one further down.
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return new Error(`${part} could not be fetched: ${messageOf(error)}${cause}`, { cause: error });
}
