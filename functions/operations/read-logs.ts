import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import type { ApiLogLine } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { parseLogLine } from "../../shared/domain/log-line.ts";
import {
  attemptLogPrefix,
  type LogChunkName,
  parseLogChunkName,
  serviceLogPrefix,
  stepLogPrefix,
} from "../../shared/domain/object-keys.ts";
import type { Deps } from "../deps.ts";

const decompress = promisify(zstdDecompress);

/** A page holds no more bytes of text than the limit says, so that it fits into an answer whatever the lines are like. */
type ReaderDeps = Pick<Deps, "objects" | "limits">;

/** A place in the logs of an attempt: the next line to read. */
export interface LogPosition {
  attempt: number;
  /** 0 in the log of a service. */
  step: number;
  sequence: number;
  /** Lines of that chunk already read. */
  skip: number;
}

/** A piece of a log in the bucket; `step` is 0 in that of a service. */
interface LogChunk extends LogChunkName {
  key: string;
  step: number;
}

/** Which logs of a task: all its steps, one of them, or one of its services. */
export interface LogChoice {
  step?: number | undefined;
  service?: string | undefined;
}

/** Where logs are. The attempt is part of a position. */
export interface LogSource extends LogChoice {
  jobId: string;
  task: string;
}

/** The first line of an attempt, or of its step or service that is asked for. */
export function logStart(attempt: number, { step, service }: LogChoice): LogPosition {
  return { attempt, step: service === undefined ? (step ?? 1) : 0, sequence: 0, skip: 0 };
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

/** Lines from a position on; `next` is where the following read begins, `exhausted` says that there are no more now. */
export interface LogLines {
  entries: LogEntry[];
  next: LogPosition;
  exhausted: boolean;
}

/** Reads the logs of a task. */
export interface LogReader {
  /** Costs one list, and one read a chunk. */
  readPage(from: LogPosition, limit: number): Promise<LogLines>;
  /**
   * The last lines of an attempt, from as many chunks as it takes; fewer where they are too much for one answer. `from`:
   * a chunk that the last lines are known not to be before, which saves listing those before it.
   */
  readTail(attempt: number, count: number, from?: LogPosition): Promise<Omit<LogLines, "exhausted">>;
}

/** A reader that remembers the chunk it read last: pages are smaller than chunks, so the next page often needs it. */
export function createLogReader(deps: ReaderDeps, source: LogSource): LogReader {
  let remembered: { key: string; rows: string[] } | undefined;
  const readRows = async (chunk: LogChunk): Promise<string[]> => {
    if (remembered?.key === chunk.key) return remembered.rows;
    const stored = await deps.objects.get(chunk.key);
    const rows = stored ? (await decompress(stored)).toString("utf8").split("\n") : [""];
    rows.pop();
    remembered = { key: chunk.key, rows };
    return rows;
  };
  return {
    readPage: (from, limit) => readPage(deps, source, readRows, from, limit),
    readTail: (attempt, count, from = logStart(attempt, source)) => readTail(deps, source, readRows, count, from),
  };
}

type ReadRows = (chunk: LogChunk) => Promise<string[]>;

async function readPage(
  deps: ReaderDeps,
  source: LogSource,
  readRows: ReadRows,
  from: LogPosition,
  limit: number,
): Promise<LogLines> {
  const { chunks, more } = await listChunks(deps, source, from);
  const entries: LogEntry[] = [];
  let next = from;
  let bytes = 0;
  for (const chunk of chunks) {
    const rows = await readRows(chunk);
    let skip = chunk.step === from.step && chunk.sequence === from.sequence ? from.skip : 0;
    for (; skip < rows.length; skip++) {
      const entry = toEntry(source, rows[skip] ?? "", chunk, skip, from.attempt);
      bytes += Buffer.byteLength(entry.line.text);
      // At least one line, or a very long one would never be read.
      if (entries.length >= limit || (entries.length > 0 && bytes > deps.limits.logPageBytes)) {
        return { entries, next, exhausted: false };
      }
      entries.push(entry);
      next = entry.next;
    }
    next = positionAfter(chunk, from.attempt);
    if (entries.length >= limit) return { entries, next, exhausted: false };
  }
  return { entries, next, exhausted: !more };
}

async function readTail(
  deps: ReaderDeps,
  source: LogSource,
  readRows: ReadRows,
  count: number,
  from: LogPosition,
): Promise<Omit<LogLines, "exhausted">> {
  const { attempt } = from;
  const chunks = await listAllChunks(deps, source, from);
  const last = chunks.at(-1);
  const next = last ? positionAfter(last, attempt) : from;
  const entries: LogEntry[] = [];
  let bytes = 0;
  for (const chunk of chunks.toReversed()) {
    if (entries.length >= count) break;
    const rows = await readRows(chunk);
    for (let index = rows.length - 1; index >= 0; index--) {
      const entry = toEntry(source, rows[index] ?? "", chunk, index, attempt);
      bytes += Buffer.byteLength(entry.line.text);
      if (entries.length >= count || (entries.length > 0 && bytes > deps.limits.logPageBytes)) {
        return { entries: entries.reverse(), next };
      }
      entries.push(entry);
    }
  }
  return { entries: entries.reverse(), next };
}

function positionAfter(chunk: LogChunk, attempt: number): LogPosition {
  return { attempt, step: chunk.step, sequence: chunk.sequence + 1, skip: 0 };
}

async function listAllChunks(deps: ReaderDeps, source: LogSource, start: LogPosition): Promise<LogChunk[]> {
  const all: LogChunk[] = [];
  let from = start;
  for (;;) {
    const { chunks, more } = await listChunks(deps, source, from);
    all.push(...chunks);
    const last = chunks.at(-1);
    if (!more || !last) return all;
    from = positionAfter(last, from.attempt);
  }
}

/** One list of the chunks from a position on: of all later steps, or of the one step or service asked for. */
async function listChunks(deps: ReaderDeps, source: LogSource, from: LogPosition) {
  const { jobId, task, step, service } = source;
  const ownPrefix =
    service === undefined
      ? stepLogPrefix(jobId, task, from.attempt, from.step)
      : serviceLogPrefix(jobId, task, from.attempt, service);
  const all = step === undefined && service === undefined;
  const prefix = all ? `${attemptLogPrefix(jobId, task, from.attempt)}step-` : ownPrefix;
  // Names of chunks begin with eight digits: what sorts before this chunk's number sorts before its name.
  const before = ownPrefix + String(from.sequence).padStart(8, "0");
  const page = await deps.objects.list(prefix, { startAfter: before });
  const chunks = page.objects.flatMap(({ key }): LogChunk[] => {
    const match = /\/(?:step-(\d+)|service-[^/]+)\/([^/]+)$/.exec(key);
    const name = match?.[2] ? parseLogChunkName(match[2]) : undefined;
    return name ? [{ ...name, key, step: Number(match?.[1] ?? 0) }] : [];
  });
  return { chunks, more: page.more };
}

function toEntry({ service }: LogSource, row: string, chunk: LogChunk, index: number, attempt: number): LogEntry {
  const { atMs, stream, text, partial } = parseLogLine(row);
  return {
    line: {
      line: chunk.firstLine + index,
      ...(service === undefined ? { step: chunk.step } : { service }),
      at: new Date(atMs).toISOString(),
      stream,
      text,
      ...(partial ? { partial } : {}),
    },
    next: { attempt, step: chunk.step, sequence: chunk.sequence, skip: index + 1 },
  };
}
