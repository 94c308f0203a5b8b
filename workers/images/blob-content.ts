import { createHash } from "node:crypto";

/** A blob whose content is not what its digest says, or cannot be unpacked. */
export class BlobDamaged extends Error {}

/** The beginning of a digest, enough to find it again. */
export function shortenDigest(digest: string): string {
  return digest.slice(0, 19);
}

/** Whether an error says that there is no room left on the disk. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** Passes a blob's unpacked content on, and breaks at its end where it does not have the digest. */
export function checkDigest(digest: string, onBytes?: (bytes: number) => void) {
  return async function* (content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const hash = createHash("sha256");
    for await (const chunk of content) {
      hash.update(chunk);
      onBytes?.(chunk.length);
      yield chunk;
    }
    const found = `sha256:${hash.digest("hex")}`;
    if (found !== digest) throw new BlobDamaged(`its digest is ${shortenDigest(found)}`);
  };
}

/** What breaks when zstd meets what it did not write, or only the beginning of it. */
export function isDamage(error: unknown): boolean {
  if (error instanceof BlobDamaged) return true;
  return error instanceof Error && "code" in error && /^(ZSTD_error|Z_(BUF|DATA)_ERROR)/.test(String(error.code));
}
