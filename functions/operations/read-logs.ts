import pLimit from "p-limit";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { eachLogLine, type LogContent, sliceLog } from "../../shared/domain/log-line.ts";
import { readAhead } from "../../shared/read-ahead.ts";
import type { Deps } from "../deps.ts";
import { createLogChunkIndex, type LogChunk, type LogChunkIndex, type LogSource, type OneLog } from "./log-chunks.ts";
import { type LogPosition, logStart } from "./log-position.ts";

/** A page holds no more bytes of text than the limit says, so that it fits into an answer whatever the lines are like. */
type ReaderDeps = Pick<Deps, "objects" | "logContents" | "limits">;

/** Chunks that are fetched at the same time for one page. */
const parallelReads = 8;
/** Chunks that are fetched or wait while a text is sent; some megabytes each. */
const chunksAhead = 3;

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

/** A chunk as somebody reads it who begins at a position: behind `skip` of its lines. */
export interface LogPiece {
  chunk: LogChunk;
  skip: number;
}

/** How large a log is by now. */
export interface LogSize {
  lines: number;
  /** Of its text. */
  bytes: number;
}

/** Reads the logs of a task. What it costs depends on what is read, not on how large the log is. */
export interface LogReader {
  /** Costs one list, and one read a chunk. */
  readPage(from: LogPosition, limit: number): Promise<LogLines>;
  /** The chunks from a position on, some of them: costs one list. */
  listChunks(from: LogPosition, limit: number): Promise<{ chunks: LogPiece[]; next: LogPosition; more: boolean }>;
  /** The last lines of an attempt, from as many chunks as it takes; fewer where they are too much for one answer. */
  readTail(attempt: number, count: number): Promise<Omit<LogLines, "exhausted">>;
  measure(log: OneLog): Promise<LogSize>;
  /** Where a line is (0-based); the log's end where it has fewer. */
  findLine(log: OneLog, line: number): Promise<LogPosition>;
  /** Where the first line of that time or later is. */
  findTime(attempt: number, atMs: number): Promise<LogPosition>;
  /** The text from a position on, chunk by chunk, up to the end or to line `lastLine` of its log. */
  readText(from: LogPosition, lastLine?: number): AsyncGenerator<Uint8Array>;
  /** The bytes `[start, end)` of a log's text. */
  readBytes(log: OneLog, start: number, end: number): AsyncGenerator<Uint8Array>;
}

/** Creates the reader of what was chosen. */
export function createLogReader(deps: ReaderDeps, source: LogSource): LogReader {
  const index = createLogChunkIndex(deps.objects, source);
  const readContent = (chunk: LogChunk) => deps.logContents.get(chunk);
  const parts: Parts = { index, source, maxBytes: deps.limits.logPageBytes, readContent };
  return {
    readPage: (from, limit) => readPage(parts, from, limit),
    listChunks: async (from, limit) => {
      const page = await index.list(from);
      const chunks = page.chunks.slice(0, limit);
      const last = chunks.at(-1);
      return {
        chunks: chunks.map((chunk) => ({ chunk, skip: linesBefore(chunk, from) })),
        next: last ? positionAfter(last, from.attempt) : from,
        more: page.more || chunks.length < page.chunks.length,
      };
    },
    readTail: (attempt, count) => readTail(parts, attempt, count),
    measure: (log) => measure(parts, log),
    findLine: async (log, line) => {
      const chunk = await index.findLast(log, ({ firstLine }) => firstLine <= line);
      return chunk ? positionIn(chunk, log.attempt, line - chunk.firstLine) : logStart(log.attempt, source);
    },
    findTime: (attempt, atMs) => findTime(parts, attempt, atMs),
    readText: (from, lastLine = Number.POSITIVE_INFINITY) => readText(parts, from, lastLine),
    readBytes: (log, start, end) => readBytes(parts, log, start, end),
  };
}

interface Parts {
  index: LogChunkIndex;
  source: LogSource;
  maxBytes: number;
  readContent: (chunk: LogChunk) => Promise<LogContent>;
}

async function readPage(parts: Parts, from: LogPosition, limit: number): Promise<LogLines> {
  const { chunks, more } = await parts.index.list(from);
  const skipIn = (chunk: LogChunk) => linesBefore(chunk, from);
  const needed = takeWhile(chunks, limit, parts.maxBytes, skipIn);
  const contents = await readContents(parts, needed);
  const entries: LogEntry[] = [];
  let next = from;
  let bytes = 0;
  for (const [place, chunk] of needed.entries()) {
    for (const entry of eachEntry(parts.source, chunk, contents[place], from.attempt, skipIn(chunk))) {
      bytes += answerBytes(entry);
      // At least one line, or a very long one would never be read.
      if (entries.length >= limit || (entries.length > 0 && bytes > parts.maxBytes)) {
        return { entries, next, exhausted: false };
      }
      entries.push(entry);
      next = entry.next;
    }
    next = positionAfter(chunk, from.attempt);
  }
  return { entries, next, exhausted: !more && needed.length === chunks.length };
}

/** The chunks that a page takes, as far as their names tell: it may need the last of them in part only. */
function takeWhile(
  chunks: readonly LogChunk[],
  limit: number,
  maxBytes: number,
  skipIn: (chunk: LogChunk) => number = () => 0,
): LogChunk[] {
  let lines = 0;
  let bytes = 0;
  const end = chunks.findIndex((chunk) => {
    if (lines >= limit || bytes >= maxBytes) return true;
    lines += chunk.lines - skipIn(chunk);
    // Of a chunk that is begun in its middle nobody knows yet how many bytes are left.
    if (skipIn(chunk) === 0) bytes += chunk.bytes;
    return false;
  });
  return end < 0 ? [...chunks] : chunks.slice(0, end);
}

function readContents({ readContent }: Parts, chunks: readonly LogChunk[]): Promise<LogContent[]> {
  const limit = pLimit(parallelReads);
  return Promise.all(chunks.map((chunk) => limit(() => readContent(chunk))));
}

async function readTail(parts: Parts, attempt: number, count: number): Promise<Omit<LogLines, "exhausted">> {
  const logs = await parts.index.listLogs(attempt);
  let next: LogPosition | undefined;
  let entries: LogEntry[] = [];
  let bytes = 0;
  for (const log of logs.toReversed()) {
    const chunks = await listLastChunks(parts, log, count - entries.length);
    const last = chunks.at(-1);
    if (last && next === undefined) next = positionAfter(last, attempt);
    const needed = takeWhile(chunks.toReversed(), count - entries.length, parts.maxBytes - bytes);
    const found: LogEntry[] = [];
    const contents = await readContents(parts, needed);
    for (const [place, chunk] of needed.entries()) {
      const wanted = count - entries.length - found.length;
      const first = Math.max(0, chunk.lines - wanted);
      for (const entry of [...eachEntry(parts.source, chunk, contents[place], attempt, first)].reverse()) {
        bytes += answerBytes(entry);
        if (bytes > parts.maxBytes && entries.length + found.length > 0) break;
        found.push(entry);
      }
    }
    entries = [...found.reverse(), ...entries];
    if (entries.length >= count || bytes > parts.maxBytes) break;
  }
  return { entries, next: next ?? logStart(attempt, parts.source) };
}

/** The chunks that hold the last lines of a log, and perhaps some before them. */
async function listLastChunks({ index }: Parts, log: OneLog, count: number): Promise<LogChunk[]> {
  const last = await index.findLast(log, () => true);
  if (last === undefined || count <= last.lines) return last ? [last] : [];
  const firstLine = Math.max(0, last.firstLine + last.lines - count);
  const first = await index.findLast(log, (chunk) => chunk.firstLine <= firstLine);
  const chunks: LogChunk[] = [];
  for (let sequence = first?.sequence ?? 0; sequence <= last.lastSequence; ) {
    const page = await index.list({ ...log, sequence });
    const own = page.chunks.filter(({ step }) => step === log.step);
    chunks.push(...own);
    const end = own.at(-1);
    if (end === undefined || !page.more) break;
    sequence = end.lastSequence + 1;
  }
  return chunks;
}

async function measure({ index }: Parts, log: OneLog): Promise<LogSize> {
  const last = await index.findLast(log, () => true);
  return last ? { lines: last.firstLine + last.lines, bytes: last.firstByte + last.bytes } : { lines: 0, bytes: 0 };
}

async function findTime(parts: Parts, attempt: number, atMs: number): Promise<LogPosition> {
  const logs = await parts.index.listLogs(attempt);
  for (const log of logs.toReversed()) {
    const chunk = await parts.index.findLast(log, ({ firstAtMs }) => firstAtMs < atMs);
    if (chunk === undefined) continue;
    let skip = 0;
    for (const run of (await parts.readContent(chunk)).runs) {
      if (run.atMs >= atMs) return positionIn(chunk, attempt, skip);
      skip += run.lines;
    }
    return positionAfter(chunk, attempt);
  }
  return logStart(attempt, parts.source);
}

async function* readText(parts: Parts, from: LogPosition, lastLine: number): AsyncGenerator<Uint8Array> {
  yield* eachText(
    parts,
    from,
    ({ firstLine }) => firstLine <= lastLine,
    (chunk, content) => {
      const first = linesBefore(chunk, from);
      const isLast = chunk.firstLine + chunk.lines > lastLine;
      if (first === 0 && !isLast) return content.text;
      return sliceLog(content, first, isLast ? lastLine - chunk.firstLine + 1 : chunk.lines).text;
    },
  );
}

async function* readBytes(parts: Parts, log: OneLog, start: number, end: number): AsyncGenerator<Uint8Array> {
  const first = await parts.index.findLast(log, ({ firstByte }) => firstByte <= start);
  if (first === undefined) return;
  const from = positionIn(first, log.attempt, 0);
  const isWanted = ({ step, firstByte }: LogChunk) => step === log.step && firstByte < end;
  yield* eachText(parts, from, isWanted, ({ firstByte, bytes }, { text }) =>
    fitText(text, bytes).subarray(Math.max(0, start - firstByte), end - firstByte),
  );
}

/** What stands for a chunk that cannot be read takes its place to the byte: what is behind it is where it was. */
function fitText(text: Buffer, bytes: number): Buffer {
  return text.length === bytes ? text : Buffer.concat([text, Buffer.alloc(bytes, "\n")], bytes);
}

/** What is wanted of the texts of chunks, from a position on up to the first that is not wanted: each is fetched once. */
async function* eachText(
  parts: Parts,
  from: LogPosition,
  isWanted: (chunk: LogChunk) => boolean,
  cut: (chunk: LogChunk, content: LogContent) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  const chunks = eachChunkWhile(parts, from, isWanted);
  const work = async (chunk: LogChunk) => cut(chunk, await parts.readContent(chunk));
  for await (const text of readAhead(chunks, work, chunksAhead)) if (text.length > 0) yield text;
}

async function* eachChunkWhile(
  parts: Parts,
  from: LogPosition,
  isWanted: (chunk: LogChunk) => boolean,
): AsyncGenerator<LogChunk> {
  for await (const chunk of eachChunk(parts, from)) {
    if (!isWanted(chunk)) return;
    yield chunk;
  }
}

/** The chunks from a position on, as far as there are any now. */
async function* eachChunk({ index }: Parts, from: LogPosition): AsyncGenerator<LogChunk> {
  for (let at: LogPosition | undefined = from; at !== undefined; ) {
    const { chunks, more }: Awaited<ReturnType<LogChunkIndex["list"]>> = await index.list(at);
    yield* chunks;
    const last = chunks.at(-1);
    at = more && last ? positionAfter(last, from.attempt) : undefined;
  }
}

/** What a line's text takes in an answer: as JSON, in which a control character has six bytes. */
function answerBytes({ line: { text } }: LogEntry): number {
  return Buffer.byteLength(JSON.stringify(text));
}

/** A line as it stands in the text of its log. */
export function lineText({ text, partial }: Pick<ApiLogLine, "text" | "partial">): string {
  return partial ? text : `${text}\n`;
}

/** Lines of a chunk that are before a position. */
function linesBefore(chunk: LogChunk, from: LogPosition): number {
  return chunk.step === from.step && chunk.sequence === from.sequence ? Math.min(from.skip, chunk.lines) : 0;
}

function positionIn(chunk: LogChunk, attempt: number, skip: number): LogPosition {
  return { attempt, step: chunk.step, sequence: chunk.sequence, skip };
}

function positionAfter(chunk: LogChunk, attempt: number): LogPosition {
  return { attempt, step: chunk.step, sequence: chunk.lastSequence + 1, skip: 0 };
}

function* eachEntry(
  { service }: LogSource,
  chunk: LogChunk,
  content: LogContent | undefined,
  attempt: number,
  first: number,
): Generator<LogEntry> {
  if (content === undefined) return;
  let index = first;
  for (const { atMs, stream, text, partial } of eachLogLine(content, first)) {
    yield {
      line: {
        line: chunk.firstLine + index,
        ...(service === undefined ? { step: chunk.step } : { service }),
        at: new Date(atMs).toISOString(),
        stream,
        text,
        ...(partial ? { partial } : {}),
      },
      next: content.isNotice
        ? positionAfter(chunk, attempt)
        : { attempt, step: chunk.step, sequence: chunk.sequence, skip: index + 1 },
    };
    index += 1;
  }
}
