import { createReadStream } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream/promises";
import { countBytes } from "./count-bytes.ts";

/** Which bytes of a file, and their MD5. */
export interface FilePiece {
  start: number;
  /** S3 takes no body of unknown length. */
  bytes: number;
  /** Hexadecimal. */
  md5: string;
}

/** What is put where. */
export interface PutFileOptions {
  /** A presigned URL; nothing else authorises the call. */
  url: string;
  file: string;
  piece: FilePiece;
  onProgress: (sentBytes: number) => void;
  signal: AbortSignal;
  /** Without any progress for this long the upload fails. */
  idleTimeoutMs?: number;
}

/** Whether the upload was taken (and the entity tag it got, without quotes), or why it may be tried again. */
export type PutFileResult = { ok: true; etag: string } | { ok: false; message: string };

/**
 * Puts a piece of a file to a URL with flat memory; the store checks it against its MD5. `fetch` would send a stream
 * without its length, which S3 refuses.
 */
export async function putFile(options: PutFileOptions): Promise<PutFileResult> {
  const { url, file, piece, signal, onProgress, idleTimeoutMs = 60_000 } = options;
  const request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, {
    method: "PUT",
    headers: { "content-length": piece.bytes, "content-md5": Buffer.from(piece.md5, "hex").toString("base64") },
    signal,
    timeout: idleTimeoutMs,
  });
  request.on("timeout", () => request.destroy(new Error(`nothing moved for ${idleTimeoutMs / 1000} s`)));
  const answered = new Promise<{ status: number; etag: string }>((resolve, reject) => {
    request.once("error", reject);
    request.once("response", (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, etag: (response.headers.etag ?? "").replaceAll('"', "") });
    });
  });
  try {
    const { start, bytes } = piece;
    const source = createReadStream(file, { start, end: start + bytes - 1 });
    // Whichever fails first says why; the other one must not be left unobserved.
    const sending = pipeline(source, countBytes(onProgress), request, { signal });
    const [, { status, etag }] = await Promise.all([sending, answered]);
    if (status >= 200 && status < 300) return { ok: true, etag };
    return { ok: false, message: `the store answered ${status}` };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}
