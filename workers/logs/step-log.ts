import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import type { LogSummary } from "../../shared/domain/manifest.ts";
import { formatLogChunkName } from "../../shared/domain/object-keys.ts";
import { retryWithBackoff } from "../retry.ts";
import { LineCutter, type LogStream } from "./line-cutter.ts";
import { LogPage } from "./log-page.ts";
import { type Chunk, SmallChunks } from "./small-chunks.ts";

const compress = promisify(zstdCompress);

/** A page of this size is sent without waiting for the flush timer. */
const pageBytes = 1024 * 1024;
/** While an upload lags behind, its next chunk takes up to this many pages: fewer, larger requests. */
const pagesPerChunk = 4;
/** Lines that are read but not stored yet; beyond this the step has to wait. */
const defaultMaxBufferedBytes = 8 * pageBytes;

/** Whose log it is: a step's (1-based index) or a service's. */
export type LogOwner = { step: number; name: string } | { service: string; name: string };

export interface StepLogOptions {
  owner: LogOwner;
  /** Stores one chunk under its name (the last part of its key). */
  putChunk: (name: string, content: Uint8Array, signal: AbortSignal) => Promise<void>;
  /** How long lines may wait before they are stored; asked whenever some begin to wait. */
  flushMs: () => number;
  /** No chunk is tried for longer than this. */
  uploadDeadlineMs: number;
  nowMs: () => number;
  /** Ends every upload under way: the log is given up. */
  signal: AbortSignal;
  /** The log cannot be stored: the attempt must not go on as if it were. */
  onFault: (error: Error) => void;
  maxBufferedBytes?: number;
}

/**
 * The log of one step or service on its way to the bucket: lines in chunks, stored one after the other, so that what is stored
 * is always the beginning of the log. A chunk leaves at most `flushMs` after its first byte was written. Bytes of the log
 * are those of its text; bytes in memory are those that are stored.
 */
export class StepLog {
  readonly #options: StepLogOptions;
  readonly #cutter: LineCutter;
  readonly #maxBufferedBytes: number;
  #page = new LogPage();
  #fullPages: LogPage[] = [];
  #fullBytes = 0;
  /** Bytes taken for the chunk that is being stored. */
  #sendingBytes = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  #sender: Promise<void> | undefined;
  #flushDue = false;
  #closed = false;
  #waiting: (() => void)[] = [];
  #fault: Error | undefined;
  readonly #smallChunks = new SmallChunks();
  #chunks = 0;
  #lines = 0;
  #textBytes = 0;

  constructor(options: StepLogOptions) {
    this.#options = options;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? defaultMaxBufferedBytes;
    this.#cutter = new LineCutter((line, source, start, end) => {
      this.#page.append(line, source, start, end);
      if (this.#page.bytes >= pageBytes) this.#closePage();
    });
  }

  /** Takes output; a promise means that the writer must wait for it before it writes more. */
  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    // After a fault the attempt is being stopped; what it still prints must not block its end.
    if (this.#fault !== undefined || this.#options.signal.aborted) return undefined;
    this.#cutter.push(stream, bytes, this.#options.nowMs());
    this.#scheduleFlush();
    if (this.#fullPages.length > 0) void this.#send();
    if (this.#bufferedBytes < this.#maxBufferedBytes) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Stores what is left and tells the totals; throws where a chunk could not be stored. */
  async close(): Promise<LogSummary> {
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    this.#cutter.end(this.#options.nowMs());
    while (this.#fault === undefined && this.#bufferedBytes > 0) {
      this.#flushDue = true;
      await this.#send();
    }
    await this.#sender;
    if (this.#fault !== undefined) throw this.#fault;
    await this.#putChunk(this.#smallChunks.end());
    return { ...this.#options.owner, chunks: this.#chunks, lines: this.#lines, bytes: this.#textBytes };
  }

  get #bufferedBytes(): number {
    return this.#page.bytes + this.#fullBytes + this.#sendingBytes;
  }

  #scheduleFlush(): void {
    if (this.#flushTimer !== undefined || this.#closed) return;
    const flushMs = this.#options.flushMs();
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      this.#flushDue = true;
      this.#cutter.flush(this.#options.nowMs(), flushMs / 3);
      void this.#send();
    }, flushMs);
  }

  #closePage(): void {
    this.#fullPages.push(this.#page);
    this.#fullBytes += this.#page.bytes;
    this.#page = new LogPage();
  }

  /** Starts the one sender, unless it runs already. */
  #send(): Promise<void> {
    this.#sender ??= this.#sendWhatIsDue()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#sender = undefined;
        this.#releaseWriters();
        // What came after the last look of the sender still has to leave in time.
        if (this.#fault === undefined && (this.#page.bytes > 0 || this.#cutter.hasRest)) this.#scheduleFlush();
      });
    return this.#sender;
  }

  async #sendWhatIsDue(): Promise<void> {
    while (this.#fullPages.length > 0 || (this.#flushDue && this.#page.bytes > 0)) {
      const pages = this.#fullPages.splice(0, pagesPerChunk);
      if (this.#fullPages.length === 0 && this.#flushDue && this.#page.bytes > 0 && pages.length < pagesPerChunk) {
        pages.push(this.#page);
        this.#page = new LogPage();
      }
      this.#fullBytes = this.#fullPages.reduce((sum, page) => sum + page.bytes, 0);
      await this.#storeChunk(pages);
      this.#releaseWriters();
    }
    this.#flushDue = false;
  }

  async #storeChunk(pages: readonly LogPage[]): Promise<void> {
    const content =
      pages.length === 1 && pages[0] ? pages[0].content : Buffer.concat(pages.map((page) => page.content));
    this.#sendingBytes = content.length;
    const sum = (pick: (page: LogPage) => number) => pages.reduce((total, page) => total + pick(page), 0);
    const name = {
      sequence: this.#chunks,
      lastSequence: this.#chunks,
      firstLine: this.#lines,
      lines: sum((page) => page.lines),
      firstByte: this.#textBytes,
      bytes: sum((page) => page.textBytes),
      firstAtMs: pages[0]?.firstAtMs ?? 0,
    };
    await this.#putChunk({ name, content });
    this.#chunks++;
    this.#lines += name.lines;
    this.#textBytes += name.bytes;
    this.#sendingBytes = 0;
    await this.#putChunk(this.#smallChunks.add({ name, content }));
  }

  async #putChunk(chunk: Chunk | undefined): Promise<void> {
    if (chunk === undefined) return;
    const { putChunk, signal, uploadDeadlineMs } = this.#options;
    const compressed = await compress(chunk.content, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
    await retryWithBackoff(() => putChunk(formatLogChunkName(chunk.name), compressed, signal), {
      signal,
      maxElapsedMs: uploadDeadlineMs,
    });
  }

  #releaseWriters(): void {
    if (this.#fault === undefined && this.#bufferedBytes >= this.#maxBufferedBytes) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #fail(error: unknown): void {
    if (this.#fault !== undefined) return;
    this.#fault = error instanceof Error ? error : new Error(String(error));
    this.#sendingBytes = 0;
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#releaseWriters();
    if (!this.#options.signal.aborted) this.#options.onFault(this.#fault);
  }
}
