import { setTimeout as delay } from "node:timers/promises";
import type { ApiLogChunk } from "../../shared/api/log-schemas.ts";
import type { ApiClient, LogQuery } from "../../shared/api-client/index.ts";
import { type LogContent, sliceLog } from "../../shared/domain/log-line.ts";
import { readLogChunk } from "../../shared/log-chunk.ts";
import { readAhead } from "../../shared/read-ahead.ts";
import { CliError, exitCodes } from "../errors.ts";

/** Chunks that are fetched or wait while one is printed; some megabytes each. */
const chunksAhead = 4;
const tries = 4;
const againMs = 500;
const fetchDeadlineMs = 120_000;

/** Lines of a log that are in one chunk; `firstLine` is the number of the first of them. */
export interface ReadLogChunk {
  attempt: number;
  step: number | undefined;
  service: string | undefined;
  firstLine: number;
  content: LogContent;
  /** Goes on behind it. */
  cursor: string;
}

/** Which log of which task. */
export interface LogChunksOptions {
  job: string;
  task: string;
  query: Omit<LogQuery, "tail">;
  signal: AbortSignal;
}

/** A chunk, the attempt whose it is, and the cursor behind it. */
interface ListedChunk {
  attempt: number;
  chunk: ApiLogChunk;
  next: string;
}

/** Reads a log as far as it goes now: each chunk is fetched once, straight from the bucket, some ahead of the reader. */
export function readLogChunks(api: ApiClient, options: LogChunksOptions): AsyncGenerator<ReadLogChunk> {
  const read = async (listed: ListedChunk): Promise<ReadLogChunk> => {
    const { attempt, chunk, next } = listed;
    const { step, service, firstLine, skip, drop, lines } = chunk;
    const content = sliceLog(await fetchChunk(api, options, listed), skip, lines - drop);
    return { attempt, step, service, firstLine: firstLine + skip, content, cursor: next };
  };
  return readAhead(listChunks(api, options), read, chunksAhead);
}

async function* listChunks(
  api: ApiClient,
  { job, task, query, signal }: LogChunksOptions,
): AsyncGenerator<ListedChunk> {
  let page = await api.listLogChunks(job, task, query, { signal });
  const { since: _since, ...rest } = query;
  for (;;) {
    const { attempt, chunks, cursor, more } = page;
    for (const [index, chunk] of chunks.entries()) yield { attempt, chunk, next: chunks[index + 1]?.cursor ?? cursor };
    if (!more) return;
    page = await api.listLogChunks(job, task, { ...rest, attempt, cursor }, { signal });
  }
}

/** Fetches a chunk; where that does not work by a new link, for links end while somebody reads page by page. */
async function fetchChunk(api: ApiClient, options: LogChunksOptions, listed: ListedChunk): Promise<LogContent> {
  const { signal } = options;
  const { lines, bytes, firstAt } = listed.chunk;
  let { url } = listed.chunk;
  for (let tried = 1; ; tried++) {
    const fetched = await download(url, signal);
    if (Buffer.isBuffer(fetched)) return readLogChunk(fetched, { lines, bytes, firstAtMs: Date.parse(firstAt) });
    if (tried === tries) {
      throw new CliError(exitCodes.failed, `a part of this log could not be fetched: ${fetched}; try again`);
    }
    await delay(againMs, undefined, { signal });
    url = (await linkAgain(api, options, listed)) ?? url;
  }
}

/** A joined chunk may have come meanwhile: it begins with the same lines. */
async function linkAgain(
  api: ApiClient,
  { job, task, query: { step, service }, signal }: LogChunksOptions,
  { attempt, chunk: { cursor } }: ListedChunk,
): Promise<string | undefined> {
  const page = await api.listLogChunks(job, task, { step, service, attempt, cursor, limit: 1 }, { signal });
  return page.chunks[0]?.url;
}

/** The bytes, or why they did not come. */
async function download(url: string, signal: AbortSignal): Promise<Buffer | string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(fetchDeadlineMs)]) });
    const body = Buffer.from(await response.arrayBuffer());
    return response.ok ? body : `the store answered ${response.status}`;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
  }
}
