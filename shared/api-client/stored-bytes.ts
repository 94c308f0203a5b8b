import { Readable } from "node:stream";
import type { ReadableStream } from "node:stream/web";
import { backoffMs, sleep } from "./backoff.ts";

/** How an object is read. */
export interface StoredBytesOptions {
  /** A presigned link to it; asked for before each connection, for links run out. What it throws ends the reading. */
  link: () => Promise<string> | string;
  signal: AbortSignal;
  /** Tells by its HTTP status whether an answer is the store's last word; others are asked again. */
  isFinal: (status: number) => boolean;
  /** A connection on which nothing comes for this long is given up. */
  idleMs?: number;
}

/** The store did not give an object; by the HTTP status of its answer where there was one. */
export class StoredBytesError extends Error {
  readonly status: number | undefined;

  constructor(message: string, options: { status?: number; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = "StoredBytesError";
    this.status = options.status;
  }
}

/** Connections in a row that brought nothing. */
const fruitlessTries = 3;
const backoff = { firstMs: 200, longestMs: 5_000 };
const defaultIdleMs = 60_000;
/** The object is another one now, or shorter than what came of it: only a new beginning helps. */
const changedStatuses = [412, 416];

/**
 * The bytes of a stored object, in order. Where a connection breaks off it goes on behind the last byte (`Range`) of the
 * same object (`If-Match`); of a store that begins anew all the same it passes over what came before. Throws
 * `StoredBytesError` when the store's word is final, the object has changed, or several tries in a row bring nothing.
 */
export async function* readStoredBytes(options: StoredBytesOptions): AsyncGenerator<Buffer> {
  const { link, signal, isFinal } = options;
  const place: Place = { bytes: 0 };
  for (let fruitless = 0; ; ) {
    const before = place.bytes;
    const failure = yield* readConnection(await link(), place, options);
    signal.throwIfAborted();
    if (failure === undefined) return;
    fruitless = place.bytes > before ? 0 : fruitless + 1;
    const { status } = failure;
    const isLast = status !== undefined && (isFinal(status) || changedStatuses.includes(status));
    if (isLast || fruitless >= fruitlessTries) throw failure;
    await sleep(backoffMs(backoff, fruitless + 1), signal);
  }
}

/** How far the reading has come, in which object. */
interface Place {
  bytes: number;
  /** Its entity tag, as it was sent, where the store tells one that compares byte for byte. */
  etag?: string;
}

/** What comes by one connection; answers why it ended before the object did. */
async function* readConnection(
  url: string,
  place: Place,
  { signal, idleMs = defaultIdleMs }: StoredBytesOptions,
): AsyncGenerator<Buffer, StoredBytesError | undefined> {
  const end = new AbortController();
  const ends = AbortSignal.any([signal, end.signal]);
  // Only while the store is waited for: a reader may take its time.
  const inTime = async <T>(promise: Promise<T>): Promise<T | StoredBytesError> => {
    const timer = setTimeout(() => end.abort(new Error(`nothing came for ${idleMs / 1000} s`)), idleMs);
    try {
      return await promise;
    } catch (error) {
      const reason = end.signal.aborted ? end.signal.reason : error;
      // `fetch` says only that it failed; why is one further down.
      const cause = reason instanceof Error && reason.cause instanceof Error ? reason.cause : reason;
      return new StoredBytesError(cause instanceof Error ? cause.message : String(cause), { cause: error });
    } finally {
      clearTimeout(timer);
    }
  };
  const resumed =
    place.bytes === 0 ? {} : { range: `bytes=${place.bytes}-`, ...(place.etag && { "if-match": place.etag }) };
  // Compressed on the way it would have other positions.
  const answer = await inTime(fetch(url, { headers: { "accept-encoding": "identity", ...resumed }, signal: ends }));
  if (answer instanceof StoredBytesError) return answer;
  const passOver = takeUp(answer, place);
  if (passOver instanceof StoredBytesError || answer.body === null) {
    await answer.body?.cancel();
    return passOver instanceof StoredBytesError ? passOver : undefined;
  }
  const body = Readable.fromWeb(answer.body as ReadableStream);
  try {
    const chunks = body[Symbol.asyncIterator]();
    for (let left = passOver; ; ) {
      const next = await inTime(chunks.next());
      if (next instanceof StoredBytesError) return next;
      if (next.done === true) return undefined;
      const chunk = (next.value as Buffer).subarray(left);
      left -= (next.value as Buffer).length - chunk.length;
      place.bytes += chunk.length;
      if (chunk.length > 0) yield chunk;
    }
  } finally {
    body.destroy();
  }
}

/** How many bytes of an answer's body are known already, or why it is not what was asked for. */
function takeUp({ ok, status, headers }: Response, place: Place): number | StoredBytesError {
  if (!ok) return new StoredBytesError(explainStatus(status), { status });
  const etag = headers.get("etag") ?? undefined;
  if (place.bytes === 0 && etag?.startsWith('"')) place.etag = etag;
  if (place.etag !== undefined && etag !== undefined && etag !== place.etag) {
    return new StoredBytesError(explainStatus(412), { status: 412 });
  }
  if (status !== 206) return place.bytes;
  const range = headers.get("content-range") ?? "";
  if (range.startsWith(`bytes ${place.bytes}-`)) return 0;
  return new StoredBytesError(`the store sent '${range}', not what follows byte ${place.bytes}`, {});
}

function explainStatus(status: number): string {
  if (status === 404) return "it is not in the store any more";
  return changedStatuses.includes(status) ? "it has changed in the store meanwhile" : `the store answered ${status}`;
}
