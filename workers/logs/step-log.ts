import type { LogSummary } from "../../shared/domain/manifest.ts";
import { formatLogChunkName, type LogChunkName } from "../../shared/domain/object-keys.ts";
import { packLogChunk } from "../../shared/log-chunk.ts";
import { retryWithBackoff } from "../retry.ts";
import { LineCutter, type LogStream } from "./line-cutter.ts";
import { LogBlock } from "./log-block.ts";
import { type Chunk, SmallChunks } from "./small-chunks.ts";

const mebibyte = 1024 * 1024;
/** A chunk that is full leaves without waiting for the flush timer: few, large requests for a step in full flow. */
const fullBytes = 4 * mebibyte;
/** Lines that are read but not stored yet; beyond this the step has to wait. Room for three chunks, each a stage farther. */
const defaultMaxBufferedBytes = 3 * fullBytes;

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

/** A chunk that is ready to be stored. */
interface PackedChunk {
  name: string;
  body: Buffer;
}

/**
 * The log of one step or service on its way to the bucket: lines in chunks, stored one after the other, so that what is stored
 * is always the beginning of the log; while one is stored the next is compressed. A chunk leaves at most `flushMs` after its
 * first byte was written. Bytes of the log are those of its text.
 */
export class StepLog {
  readonly #options: StepLogOptions;
  readonly #cutter: LineCutter;
  readonly #maxBufferedBytes: number;
  #block = new LogBlock();
  /** Blocks that hold as much as a chunk may. */
  #fullBlocks: LogBlock[] = [];
  /** One that was emptied, for its memory. */
  #spareBlock: LogBlock | undefined;
  #packingBytes = 0;
  #storingBytes = 0;
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
    this.#cutter = new LineCutter((kind, source, start, end) => {
      if (this.#block.bytes > 0 && this.#block.bytes + end - start > fullBytes) {
        this.#fullBlocks.push(this.#block);
        this.#block = this.#takeEmptyBlock();
      }
      this.#block.append(kind, source, start, end);
    });
  }

  /** Takes output; a promise means that the writer must wait for it before it writes more. */
  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    // After a fault the attempt is being stopped; what it still prints must not block its end.
    if (this.#fault !== undefined || this.#options.signal.aborted) return undefined;
    this.#cutter.push(stream, bytes, this.#options.nowMs());
    this.#scheduleFlush();
    if (this.#fullBlocks.length > 0) void this.#send();
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
    const joined = this.#smallChunks.end();
    if (joined !== undefined) await this.#putChunk(await packChunk(joined));
    return { ...this.#options.owner, chunks: this.#chunks, lines: this.#lines, bytes: this.#textBytes };
  }

  get #bufferedBytes(): number {
    const full = this.#fullBlocks.reduce((sum, block) => sum + block.bytes, 0);
    return this.#block.bytes + full + this.#packingBytes + this.#storingBytes;
  }

  get #isDue(): boolean {
    return this.#fullBlocks.length > 0 || (this.#flushDue && this.#block.bytes > 0);
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

  #takeEmptyBlock(): LogBlock {
    const block = this.#spareBlock ?? new LogBlock();
    this.#spareBlock = undefined;
    return block;
  }

  /** Starts the one sender, unless it runs already. */
  #send(): Promise<void> {
    this.#sender ??= this.#sendWhatIsDue()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#sender = undefined;
        this.#releaseWriters();
        // What came after the last look of the sender still has to leave in time.
        if (this.#fault === undefined && (this.#block.bytes > 0 || this.#cutter.hasRest)) this.#scheduleFlush();
      });
    return this.#sender;
  }

  async #sendWhatIsDue(): Promise<void> {
    let storing: Promise<void> | undefined;
    while (this.#isDue) {
      const packed = await this.#packNext();
      this.#releaseWriters();
      await storing;
      storing = this.#storeChunks(packed);
      // It is awaited below or before the next one; a failure before that is not an unhandled one.
      storing.catch(() => undefined);
      if (!this.#isDue) await storing;
    }
    this.#flushDue = false;
  }

  /** Compresses what comes next; answers it, and what repeats it where it was time for that. */
  async #packNext(): Promise<PackedChunk[]> {
    let block = this.#fullBlocks.shift();
    if (block === undefined) {
      block = this.#block;
      this.#block = this.#takeEmptyBlock();
      this.#flushDue = false;
    }
    this.#packingBytes = block.bytes;
    const chunk = { name: this.#nameNext(block), content: block.content };
    const joined = this.#smallChunks.add(chunk);
    const packed = [await packChunk(chunk)];
    if (joined !== undefined) packed.push(await packChunk(joined));
    this.#packingBytes = packed.reduce((sum, { body }) => sum + body.length, 0);
    block.clear();
    this.#spareBlock = block;
    return packed;
  }

  #nameNext(block: LogBlock): LogChunkName {
    const { lines, textBytes: bytes, firstAtMs } = block;
    const sequence = this.#chunks++;
    const name = { sequence, lastSequence: sequence, firstLine: this.#lines, firstByte: this.#textBytes };
    this.#lines += lines;
    this.#textBytes += bytes;
    return { ...name, lines, bytes, firstAtMs };
  }

  async #storeChunks(packed: readonly PackedChunk[]): Promise<void> {
    this.#storingBytes = this.#packingBytes;
    this.#packingBytes = 0;
    for (const chunk of packed) await this.#putChunk(chunk);
    this.#storingBytes = 0;
    this.#releaseWriters();
  }

  async #putChunk({ name, body }: PackedChunk): Promise<void> {
    const { putChunk, signal, uploadDeadlineMs } = this.#options;
    await retryWithBackoff(() => putChunk(name, body, signal), { signal, maxElapsedMs: uploadDeadlineMs });
  }

  #releaseWriters(): void {
    if (this.#fault === undefined && this.#bufferedBytes >= this.#maxBufferedBytes) return;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  #fail(error: unknown): void {
    if (this.#fault !== undefined) return;
    this.#fault = error instanceof Error ? error : new Error(String(error));
    this.#packingBytes = 0;
    this.#storingBytes = 0;
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#releaseWriters();
    if (!this.#options.signal.aborted) this.#options.onFault(this.#fault);
  }
}

async function packChunk({ name, content }: Chunk): Promise<PackedChunk> {
  return { name: formatLogChunkName(name), body: await packLogChunk(content) };
}
