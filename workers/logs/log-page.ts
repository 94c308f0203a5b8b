import { formatLogLine, type LogLine } from "../../shared/domain/log-line.ts";

const newline = 0x0a;
const firstCapacity = 16 * 1024;
/** So few bytes are copied before a native call has begun; this runs once a line. */
const shortBytes = 48;

/** Stored log lines in one growing buffer: bytes as they will be in a chunk, and what the chunk's name will say. */
export class LogPage {
  #buffer = Buffer.allocUnsafe(firstCapacity);
  #length = 0;
  #lines = 0;
  #textBytes = 0;
  #firstAtMs = 0;
  #prefixOf: Omit<LogLine, "text"> = { atMs: Number.NaN, stream: "stdout", partial: false };
  #prefix = Buffer.alloc(0);

  get bytes(): number {
    return this.#length;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Bytes of the text as it was printed: without what is stored in front of each line. */
  get textBytes(): number {
    return this.#textBytes;
  }

  /** Time of the first line. */
  get firstAtMs(): number {
    return this.#firstAtMs;
  }

  /** The stored bytes; they share memory with the page. */
  get content(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Adds one line whose text (valid UTF-8, no newline) is `source[start, end)`. */
  append(line: Omit<LogLine, "text">, source: Buffer, start: number, end: number): void {
    const prefix = this.#prefixFor(line);
    const needed = this.#length + prefix.length + (end - start) + 1;
    if (needed > this.#buffer.length) this.#grow(needed);
    const buffer = this.#buffer;
    let at = this.#length;
    for (let index = 0; index < prefix.length; index++) buffer[at++] = prefix[index] as number;
    if (end - start <= shortBytes) {
      for (let index = start; index < end; index++) buffer[at++] = source[index] as number;
    } else {
      at += source.copy(buffer, at, start, end);
    }
    buffer[at++] = newline;
    this.#length = at;
    this.#textBytes += end - start + (line.partial ? 0 : 1);
    if (this.#lines++ === 0) this.#firstAtMs = line.atMs;
  }

  /** Lines of one read have their time and stream in common: their prefix is made once. */
  #prefixFor(line: Omit<LogLine, "text">): Buffer {
    const last = this.#prefixOf;
    if (last.atMs !== line.atMs || last.stream !== line.stream || last.partial !== line.partial) {
      this.#prefixOf = { ...line };
      this.#prefix = Buffer.from(formatLogLine({ ...line, text: "" }).slice(0, -1));
    }
    return this.#prefix;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 4));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}
