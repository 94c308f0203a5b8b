import { open, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import { readStoredBytes, StoredBytesError } from "../../shared/api-client/stored-bytes.ts";
import { messageOf } from "../retry.ts";
import { BlobDamaged, checkDigest, isDamage, isDiskFull, shortenDigest } from "./blob-content.ts";

/** A blob that cannot be had, however often it is asked for. */
export class BlobUnavailable extends Error {}

/**
 * Fetches a blob as it is stored, compressed, into a new file, and tells the bytes of what it was compressed from: that
 * must have the blob's digest. Leaves no file where it throws.
 */
export async function fetchBlob(url: string, digest: string, file: string, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  const count = (more: number) => {
    bytes += more;
  };
  const handle = await open(file, "wx", 0o600);
  try {
    const keep = async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        await handle.appendFile(chunk);
        yield chunk;
      }
    };
    const damaged = new AbortController();
    // Of what is damaged no more is waited for.
    const decompress = createZstdDecompress().once("error", (error) => damaged.abort(error));
    const stored = readStoredBytes({ link: () => url, signal: AbortSignal.any([signal, damaged.signal]), isFinal });
    await pipeline(stored, keep, decompress, checkDigest(digest, count), drain, { signal });
    return bytes;
  } catch (error) {
    await rm(file, { force: true });
    signal.throwIfAborted();
    throw explain(error, digest);
  } finally {
    await handle.close();
  }
}

/** Refused: to ask again does not help, unless what was there has just changed. */
function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && ![408, 412, 416, 429].includes(status);
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
  if (isDiskFull(error)) return error;
  const part = `its part ${shortenDigest(digest)}`;
  if (error instanceof StoredBytesError && error.status !== undefined) {
    const message = `${part} was answered with HTTP status ${error.status}${explainStatus(error.status)}`;
    return isFinal(error.status) ? new BlobUnavailable(message) : new Error(message);
  }
  if (isDamage(error)) return new BlobDamaged(`${part} is damaged: ${messageOf(error)}`, { cause: error });
  // `fetch` says only that it failed; why is one further down.
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return new Error(`${part} could not be fetched: ${messageOf(error)}${cause}`, { cause: error });
}
