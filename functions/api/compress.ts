import { pipeline, Readable, type Transform } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { promisify } from "node:util";
import { constants, createGzip, gzip } from "node:zlib";
import type { MiddlewareHandler } from "hono";
import type { ApiEnv } from "./auth.ts";

const pack = promisify(gzip);
/** What is smaller fits into one packet anyway. */
const leastBytes = 1_400;
/** Most of what can be had for a fraction of the time that all of it takes. */
const level = 3;
/** Of a stream, which may stay open for long: 100 KB of memory each instead of 270. */
const streamOptions = { level, windowBits: 13, memLevel: 7, flush: constants.Z_SYNC_FLUSH };

/**
 * Packs answers to what is read (GET) for who takes that: JSON as a whole, a stream of events message by message, each of
 * which can be read as soon as it is there. Answers to workers, which may hold secrets, are no reads: how well a text packs
 * tells something of it. Nothing is kept by caches, so none needs to be told that an answer varies.
 */
export function compress(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    await next();
    const { res } = c;
    if (c.req.method !== "GET" || !res.body || !takesGzip(c.req.header("accept-encoding"))) return;
    const type = res.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream")) c.res = answerPacked(res, packStream(res.body));
    else if (type.startsWith("application/json")) c.res = await packWhole(res);
  };
}

function takesGzip(accepted = ""): boolean {
  return accepted.split(",").some((coding) => /^\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(coding));
}

async function packWhole(answer: Response): Promise<Response> {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (bytes.byteLength < leastBytes) return new Response(bytes, answer);
  return answerPacked(answer, new Uint8Array(await pack(bytes, { level })));
}

/** Who lets go of the packed stream lets go of its source. */
function packStream(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const packer: Transform = createGzip(streamOptions);
  // What goes wrong ends the packed stream too, and its reader hears of it.
  pipeline(Readable.fromWeb(body as NodeReadableStream<Uint8Array>), packer, () => undefined);
  return Readable.toWeb(packer) as ReadableStream<Uint8Array>;
}

function answerPacked(
  { status, headers: before }: Response,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer>,
): Response {
  const headers = new Headers(before);
  headers.set("content-encoding", "gzip");
  headers.delete("content-length");
  return new Response(body, { status, headers });
}
