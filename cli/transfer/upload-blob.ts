import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { LimitFunction } from "p-limit";
import type { BlobUpload } from "../../shared/api/image-schemas.ts";
import { type Backoff, backoffMs, sleep } from "../../shared/api-client/backoff.ts";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";
import { limits } from "../../shared/domain/limits.ts";
import { CliError, exitCodes } from "../errors.ts";
import { type FilePiece, putFile } from "./put-file.ts";

/** A blob in a file, and what its upload goes by. */
export interface BlobUploadOptions {
  digest: string;
  file: string;
  bytes: number;
  signal: AbortSignal;
  /** Bounds the pieces that are on their way at the same moment, over all uploads. */
  transfers: LimitFunction;
  /** Told how many bytes of the blob are there, and how many of them this upload has sent. */
  onProgress: (progress: BlobProgress) => void;
  backoff?: Backoff;
}

/** How far the upload of a blob has come. */
export interface BlobProgress {
  arrivedBytes: number;
  sentBytes: number;
}

/** A piece is sent this often before its upload is given up: for half a minute, with the pauses between. */
const pieceTries = 7;
const defaultBackoff: Backoff = { firstMs: 500, longestMs: 10_000 };
/** Others may ship the same blob at the same moment, and what was there may be removed. */
const uploadTries = 5;

type Parts = Extract<BlobUpload, { status: "parts" }>;

/**
 * Uploads a blob, in parts where it is large. What arrived before an interruption is not sent again: the store tells the
 * MD5 of each part, so that only a part with the very same bytes counts as there.
 */
export async function uploadBlob(api: ApiClient, options: BlobUploadOptions): Promise<BlobProgress> {
  const progress: BlobProgress = { arrivedBytes: 0, sentBytes: 0 };
  const { digest, bytes, signal } = options;
  for (let tries = 1; ; tries++) {
    const upload = await api.uploadBlob(digest, bytes, { signal });
    if (upload.status === "stored") return progress;
    progress.arrivedBytes = 0;
    try {
      const parts = await sendUpload(api, options, upload, progress);
      await api.completeBlob(digest, { bytes, ...(parts ? { parts } : {}) }, { signal });
      return progress;
    } catch (error) {
      // Another sender got in between, or the upload was given up: what is missing by now is told anew.
      if (!(error instanceof ApiError) || error.code !== "conflict" || tries >= uploadTries) throw error;
    }
  }
}

async function sendUpload(
  api: ApiClient,
  options: BlobUploadOptions,
  upload: Exclude<BlobUpload, { status: "stored" }>,
  progress: BlobProgress,
): Promise<{ uploadId: string; sent: { part: number; etag: string }[] } | undefined> {
  const { digest, bytes, signal } = options;
  if (upload.status === "parts") return sendParts(api, options, upload, progress);
  const [piece] = await hashPieces(options.file, bytes, bytes);
  if (!piece) throw new Error("a blob has at least one byte");
  let link: string | undefined = upload.url;
  await sendPiece(options, piece, progress, async () => {
    const fresh = link === undefined ? await api.uploadBlob(digest, bytes, { signal }) : undefined;
    const url = link ?? (fresh?.status === "piece" ? fresh.url : undefined);
    link = undefined;
    return url;
  });
  return undefined;
}

async function sendParts(api: ApiClient, options: BlobUploadOptions, upload: Parts, progress: BlobProgress) {
  const { digest, file, bytes, signal, onProgress } = options;
  const { uploadId, partBytes } = upload;
  const arrived = new Map(upload.arrived.map(({ part, etag }) => [part, etag]));
  const pieces = await hashPieces(file, bytes, partBytes);
  const etags = pieces.map(({ md5 }, index) => (arrived.get(index + 1) === md5 ? md5 : undefined));
  progress.arrivedBytes = pieces.reduce((sum, piece, index) => sum + (etags[index] === undefined ? 0 : piece.bytes), 0);
  onProgress(progress);
  const wanted = pieces.map((_, index) => index + 1).filter((part) => etags[part - 1] === undefined);
  for (let at = 0; at < wanted.length; at += limits.imagePartLinks) {
    const parts = wanted.slice(at, at + limits.imagePartLinks);
    const { links } = await api.linkBlobParts(digest, uploadId, parts, { signal });
    const urls = new Map(links.map(({ part, url }) => [part, url]));
    await allOrFirstError(parts, signal, async (part, partSignal) => {
      const piece = pieces[part - 1];
      if (!piece) throw new Error(`there is no part ${part}`);
      etags[part - 1] = await sendPiece({ ...options, signal: partSignal }, piece, progress, async () => {
        const url = urls.get(part);
        urls.delete(part);
        return url ?? (await api.linkBlobParts(digest, uploadId, [part], { signal: partSignal })).links[0]?.url;
      });
    });
  }
  return { uploadId, sent: etags.flatMap((etag, index) => (etag === undefined ? [] : [{ part: index + 1, etag }])) };
}

/** Works on all at once; the first that fails stops the others, and nothing is left running. */
async function allOrFirstError<Item>(
  items: readonly Item[],
  outer: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const running = items.map(async (item) => {
    try {
      await work(item, signal);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  await Promise.allSettled(running);
  signal.throwIfAborted();
}

/** Sends one piece, again with a fresh link where the store did not take it; answers its entity tag. */
async function sendPiece(
  options: BlobUploadOptions,
  piece: FilePiece,
  progress: BlobProgress,
  findLink: () => Promise<string | undefined>,
): Promise<string> {
  const { file, signal, transfers, onProgress, backoff = defaultBackoff } = options;
  for (let tries = 1; ; tries++) {
    const put = await transfers(async () => {
      signal.throwIfAborted();
      const url = await findLink();
      if (url === undefined) return { ok: true, etag: piece.md5 } as const;
      let counted = 0;
      const count = (sent: number): void => {
        progress.arrivedBytes += sent - counted;
        progress.sentBytes += sent - counted;
        counted = sent;
        onProgress(progress);
      };
      const result = await putFile({ url, file, piece, signal, onProgress: count });
      // What the store did not take is not there.
      if (!result.ok) progress.arrivedBytes -= counted;
      return result;
    });
    if (put.ok) return put.etag || piece.md5;
    if (tries >= pieceTries) {
      const message = `the image could not be uploaded: ${put.message}; try again, what was sent is kept`;
      throw new CliError(exitCodes.unreachable, message);
    }
    await sleep(backoffMs(backoff, tries), signal);
  }
}

/** The pieces of a file with their MD5, read once from its beginning to its end. */
async function hashPieces(file: string, bytes: number, pieceBytes: number): Promise<FilePiece[]> {
  const pieces: FilePiece[] = [];
  for (let start = 0; start < bytes; start += pieceBytes) {
    const end = Math.min(bytes, start + pieceBytes);
    const hash = createHash("md5");
    for await (const chunk of createReadStream(file, { start, end: end - 1 })) hash.update(chunk as Buffer);
    pieces.push({ start, bytes: end - start, md5: hash.digest("hex") });
  }
  return pieces;
}
