import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import type { ApiLogLine } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { parseLogLine } from "../../shared/domain/log-line.ts";
import { attemptPrefix, type LogChunkName, parseLogChunkName, stepLogPrefix } from "../../shared/domain/object-keys.ts";
import type { Deps } from "../deps.ts";

const decompress = promisify(zstdDecompress);
/** Bytes of text in one page of lines, so that a page fits into an answer whatever the lines are like. */
const pageBytes = 2 * 1024 * 1024;

/** A place in the logs of an attempt: the next line to read. */
export interface LogPosition {
  attempt: number;
  step: number;
  sequence: number;
  /** Lines of that chunk already read. */
  skip: number;
}

/** A piece of a step's log in the bucket. */
interface LogChunk extends LogChunkName {
  key: string;
  step: number;
}

/** Which logs: an attempt at a task, all its steps or one. */
export interface LogSource {
  jobId: string;
  task: string;
  attempt: number;
  step?: number | undefined;
}

export function logStart(source: Pick<LogSource, "attempt" | "step">): LogPosition {
  return { attempt: source.attempt, step: source.step ?? 1, sequence: 0, skip: 0 };
}

export function formatLogCursor(position: LogPosition): string {
  return [position.attempt, position.step, position.sequence, position.skip].join(".");
}

export function parseLogCursor(cursor: string): LogPosition {
  const match = /^(\d{1,6})\.(\d{1,6})\.(\d{1,8})\.(\d{1,10})$/.exec(cursor);
  if (!match) throw new AppError("invalid_cursor", "this cursor was not made by a log; start again without one");
  const [attempt = 0, step = 0, sequence = 0, skip = 0] = match.slice(1).map(Number);
  return { attempt, step, sequence, skip };
}

/** A line, and the position after it: where a reader that was cut right behind it goes on. */
export interface LogEntry {
  line: ApiLogLine;
  next: LogPosition;
}

/** Reads lines from a position on; `next` is where the following read begins. Costs one list and one read a chunk. */
export async function readLogPage(
  deps: Pick<Deps, "objects">,
  source: LogSource,
  from: LogPosition,
  limit: number,
): Promise<{ entries: LogEntry[]; next: LogPosition; exhausted: boolean }> {
  const { chunks, more } = await listChunks(deps, source, from);
  const entries: LogEntry[] = [];
  let next = from;
  let bytes = 0;
  for (const chunk of chunks) {
    const skip = chunk.step === from.step && chunk.sequence === from.sequence ? from.skip : 0;
    const read = await readChunk(deps, chunk, from.attempt);
    const taken = takeEntries(read.slice(skip), limit - entries.length, pageBytes - bytes, entries.length === 0);
    entries.push(...taken.entries);
    bytes += taken.bytes;
    next = taken.entries.at(-1)?.next ?? next;
    const done = skip + taken.entries.length >= read.length;
    if (done) next = { attempt: from.attempt, step: chunk.step, sequence: chunk.sequence + 1, skip: 0 };
    if (!done || entries.length >= limit) return { entries, next, exhausted: false };
  }
  return { entries, next, exhausted: !more };
}

/** The last `count` lines of an attempt (of its last step with any output, and those before it as far as needed). */
export async function readLogTail(
  deps: Pick<Deps, "objects">,
  source: LogSource,
  count: number,
): Promise<{ entries: LogEntry[]; next: LogPosition }> {
  const start = logStart(source);
  const all: LogChunk[] = [];
  let from = start;
  for (;;) {
    const { chunks, more } = await listChunks(deps, source, from);
    all.push(...chunks);
    const last = chunks.at(-1);
    if (!more || !last) break;
    from = { ...start, step: last.step, sequence: last.sequence + 1, skip: 0 };
  }
  let wanted = 0;
  let firstChunk = all.length;
  while (firstChunk > 0 && wanted < count) wanted += all[--firstChunk]?.lines ?? 0;
  const entries: LogEntry[] = [];
  for (const chunk of all.slice(firstChunk)) entries.push(...(await readChunk(deps, chunk, source.attempt)));
  const last = all.at(-1);
  const next = last ? { ...start, step: last.step, sequence: last.sequence + 1 } : start;
  return { entries: count === 0 ? [] : entries.slice(-count), next };
}

/** One list of the chunks from a position on: of all later steps, or of the one step asked for. */
async function listChunks(deps: Pick<Deps, "objects">, source: LogSource, from: LogPosition) {
  const { jobId, task, attempt } = source;
  const prefix =
    source.step === undefined
      ? `${attemptPrefix(jobId, task, attempt)}logs/`
      : stepLogPrefix(jobId, task, attempt, source.step);
  // Names of chunks begin with eight digits: what sorts before this chunk's number sorts before its name.
  const before = stepLogPrefix(jobId, task, attempt, from.step) + String(from.sequence).padStart(8, "0");
  const page = await deps.objects.list(prefix, { startAfter: before });
  const chunks = page.objects.flatMap(({ key }): LogChunk[] => {
    const match = /\/step-(\d+)\/([^/]+)$/.exec(key);
    const name = match?.[2] ? parseLogChunkName(match[2]) : undefined;
    return name ? [{ ...name, key, step: Number(match?.[1]) }] : [];
  });
  return { chunks, more: page.more };
}

async function readChunk(deps: Pick<Deps, "objects">, chunk: LogChunk, attempt: number): Promise<LogEntry[]> {
  const stored = await deps.objects.get(chunk.key);
  if (!stored) return [];
  const text = (await decompress(stored)).toString("utf8");
  const rows = text.split("\n");
  rows.pop();
  return rows.map((row, index) => {
    const { atMs, stream, text: line, partial } = parseLogLine(row);
    return {
      line: {
        line: chunk.firstLine + index,
        step: chunk.step,
        at: new Date(atMs).toISOString(),
        stream,
        text: line,
        ...(partial ? { partial } : {}),
      },
      next: { attempt, step: chunk.step, sequence: chunk.sequence, skip: index + 1 },
    };
  });
}

function takeEntries(entries: readonly LogEntry[], limit: number, maxBytes: number, atLeastOne: boolean) {
  const taken: LogEntry[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = Buffer.byteLength(entry.line.text);
    if (taken.length >= limit || (bytes + size > maxBytes && !(atLeastOne && taken.length === 0))) break;
    taken.push(entry);
    bytes += size;
  }
  return { entries: taken, bytes };
}
