import { createReadStream } from "node:fs";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { pipeline } from "node:stream/promises";
import { countBytes } from "./count-bytes.ts";

/** What is put where. */
export interface PutFileOptions {
  /** A presigned URL; nothing else authorises the call. */
  url: string;
  file: string;
  /** Bytes of the file: S3 takes no body of unknown length. */
  size: number;
  onProgress: (sentBytes: number) => void;
  signal: AbortSignal;
  /** Without any progress for this long the upload fails. */
  idleTimeoutMs?: number;
}

/** Whether the upload was taken, or why it may be tried again. */
export type PutFileResult = { ok: true } | { ok: false; message: string };

/** Puts a file to a URL with flat memory; `fetch` would send a stream without its length, which S3 refuses. */
export async function putFile(options: PutFileOptions): Promise<PutFileResult> {
  const { url, file, size, signal, onProgress, idleTimeoutMs = 60_000 } = options;
  const request = (url.startsWith("https:") ? httpsRequest : httpRequest)(url, {
    method: "PUT",
    headers: { "content-length": size },
    signal,
    timeout: idleTimeoutMs,
  });
  request.on("timeout", () => request.destroy(new Error(`nothing moved for ${idleTimeoutMs / 1000} s`)));
  const answered = new Promise<number>((resolve, reject) => {
    request.once("error", reject);
    request.once("response", (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
  });
  try {
    // Whichever fails first says why; the other one must not be left unobserved.
    const sending = pipeline(createReadStream(file), countBytes(onProgress), request, { signal });
    const [, status] = await Promise.all([sending, answered]);
    if (status >= 200 && status < 300) return { ok: true };
    return { ok: false, message: `the store answered ${status}` };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}
