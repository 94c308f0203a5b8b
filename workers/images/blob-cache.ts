import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";
import type { Logger } from "../../shared/log.ts";
import { makeFolder } from "../../shared/make-folder.ts";
import { messageOf, retryWithBackoff } from "../retry.ts";
import { BlobDamaged, checkDigest, isDamage, isDiskFull, shortenDigest } from "./blob-content.ts";
import type { CacheItem } from "./expiry.ts";
import { BlobUnavailable, fetchBlob } from "./fetch-blob.ts";
import { ignoreMissing, isMissing } from "./missing-file.ts";
import { SharedWork } from "./shared-work.ts";

const fetchRetries = 2;
const defaultFirstRetryMs = 500;
const namePattern = /^([0-9a-f]{64})\.(\d+)\.zst$/;

/** A blob on this machine's disk. */
export interface CachedBlob {
  digest: string;
  file: string;
  /** Of its content, which the file holds compressed. */
  bytes: number;
}

export interface BlobCacheOptions {
  folder: string;
  /** Where blobs under way are: it goes with its worker, and is on the same file system. */
  scratchFolder: string;
  firstRetryMs?: number;
  log: Logger;
}

/**
 * Blobs of shipped images on this machine's disk, compressed as they came. Workers may share the folder: a blob appears
 * whole or not at all, its name tells digest and size, and the time of its file when it was last used.
 */
export class BlobCache {
  readonly #options: BlobCacheOptions;
  readonly #fetches = new SharedWork<CachedBlob>();

  constructor(options: BlobCacheOptions) {
    this.#options = options;
  }

  /**
   * A blob, fetched where it is not there; who needs the same one waits for the same transfer. Throws `BlobUnavailable`
   * where it is not to be had, with tries behind it, and what the disk says where that is full.
   */
  get(digest: string, url: string | undefined, signal: AbortSignal): Promise<CachedBlob> {
    return this.#fetches.join(digest, signal, async (shared) => {
      const found = await this.#find(digest);
      if (found !== undefined && (await this.#isWhole(found, shared))) return found;
      return this.#fetch(digest, url, shared);
    });
  }

  /** Writes a blob's content somewhere. A file that was changed meanwhile is removed and told as `BlobDamaged`. */
  async copyTo(
    { digest, file }: CachedBlob,
    target: NodeJS.WritableStream,
    { signal, onBytes }: { signal: AbortSignal; onBytes?: () => void },
  ): Promise<void> {
    const check = checkDigest(digest, onBytes);
    try {
      await pipeline(createReadStream(file), createZstdDecompress(), check, target, { signal });
    } catch (error) {
      if (!isDamage(error) && !isMissing(error)) throw error;
      await rm(file, { force: true });
      throw new BlobDamaged(`its part ${shortenDigest(digest)} was damaged on this worker`, { cause: error });
    }
  }

  /** What is kept, for whoever decides what goes. */
  async list(): Promise<CacheItem[]> {
    const items = await Promise.all(
      (await this.#names()).map(async (name): Promise<CacheItem[]> => {
        const file = join(this.#options.folder, name);
        const stats = await stat(file).catch(ignoreMissing);
        if (stats === undefined) return [];
        const remove = () => rm(file, { force: true }).then(() => true);
        return [{ what: name, bytes: stats.size, lastUsedMs: stats.mtimeMs, isHeld: false, remove }];
      }),
    );
    return items.flat();
  }

  async #find(digest: string): Promise<CachedBlob | undefined> {
    const hex = digest.replace("sha256:", "");
    for (const name of await this.#names()) {
      const [, ownHex, bytes] = namePattern.exec(name) ?? [];
      if (ownHex !== hex) continue;
      const file = join(this.#options.folder, name);
      const now = new Date();
      const found = await utimes(file, now, now).then(() => true, ignoreMissing);
      if (found) return { digest, file, bytes: Number(bytes) };
    }
    return undefined;
  }

  /** Whoever has this disk may have changed it: found out here, it costs no archive that breaks off. */
  async #isWhole(blob: CachedBlob, signal: AbortSignal): Promise<boolean> {
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    try {
      await this.copyTo(blob, nowhere, { signal });
      return true;
    } catch (error) {
      if (!(error instanceof BlobDamaged)) throw error;
      this.#options.log.warn({ digest: blob.digest, reason: messageOf(error) }, "a blob is fetched again");
      return false;
    }
  }

  async #fetch(digest: string, url: string | undefined, signal: AbortSignal): Promise<CachedBlob> {
    if (url === undefined) throw new BlobUnavailable(`its part ${shortenDigest(digest)} was not shipped with the job`);
    await makeFolder(this.#options.folder, 0o700);
    const part = join(this.#options.scratchFolder, `blob-${randomUUID()}`);
    const bytes = await this.#fetchInto(part, digest, url, signal);
    const file = join(this.#options.folder, `${digest.replace("sha256:", "")}.${bytes}.zst`);
    await rename(part, file);
    return { digest, file, bytes };
  }

  async #fetchInto(file: string, digest: string, url: string, signal: AbortSignal): Promise<number> {
    try {
      return await retryWithBackoff(() => fetchBlob(url, digest, file, signal), {
        signal,
        retries: fetchRetries,
        firstDelayMs: this.#options.firstRetryMs ?? defaultFirstRetryMs,
        isRetryable: (error) => !(error instanceof BlobUnavailable) && !isDiskFull(error),
        onFailure: (error) => this.#options.log.warn({ digest, reason: messageOf(error) }, "a blob was not fetched"),
      });
    } catch (error) {
      // Given up at the moment at which it was whole.
      await rm(file, { force: true });
      signal.throwIfAborted();
      if (isDiskFull(error)) throw error;
      throw new BlobUnavailable(messageOf(error), { cause: error });
    }
  }

  async #names(): Promise<string[]> {
    return (await readdir(this.#options.folder).catch(ignoreMissing))?.filter((name) => namePattern.test(name)) ?? [];
  }
}
