import { isUtf8 } from "node:buffer";
import type { LogLine } from "../../shared/domain/log-line.ts";

export type LogStream = LogLine["stream"];

/** Takes one line: its text is `source[start, end)`, valid UTF-8 without a newline. */
export type LineTaker = (line: Omit<LogLine, "text">, source: Buffer, start: number, end: number) => void;

/** Longest piece of one line, in bytes; longer lines are cut into pieces marked as partial. */
export const maxLineBytes = 64 * 1024;

const newline = 0x0a;
const nearBytes = 32;
const empty = Buffer.alloc(0);

/**
 * Cuts the bytes of a step's two streams into lines. Bytes that are no UTF-8 become U+FFFD; a character that lies
 * across two reads stays whole. What it keeps between reads is shorter than `maxLineBytes` a stream.
 */
export class LineCutter {
  readonly #take: LineTaker;
  readonly #rest: Record<LogStream, Buffer> = { stdout: empty, stderr: empty };
  /** When the line that `#rest` is the start of began. */
  readonly #restSinceMs: Record<LogStream, number> = { stdout: 0, stderr: 0 };

  constructor(take: LineTaker) {
    this.#take = take;
  }

  /** True where the start of a line waits for its end. */
  get hasRest(): boolean {
    return this.#rest.stdout.length > 0 || this.#rest.stderr.length > 0;
  }

  push(stream: LogStream, bytes: Buffer, atMs: number): void {
    const rest = this.#rest[stream];
    const data = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const linesEnd = data.lastIndexOf(newline) + 1;
    if (linesEnd > 0 || rest.length === 0) this.#restSinceMs[stream] = atMs;
    if (linesEnd > 0) this.#takeLines(stream, toUtf8(data.subarray(0, linesEnd)), atMs);
    let start = linesEnd;
    while (data.length - start >= maxLineBytes) {
      const end = start + wholeCharacters(data.subarray(start, start + maxLineBytes));
      this.#takePartial(stream, data.subarray(start, end), atMs);
      start = end;
    }
    // A copy: the reader's buffer must not live on for the sake of a few bytes.
    this.#rest[stream] = start === data.length ? empty : Buffer.from(data.subarray(start));
  }

  /**
   * Hands out the starts of lines that have waited at least `minAgeMs` for their end, so that a prompt can be read.
   * Younger ones are left: a stream in full flow would be cut at every flush.
   */
  flush(atMs: number, minAgeMs: number): void {
    for (const stream of ["stdout", "stderr"] as const) {
      if (atMs - this.#restSinceMs[stream] < minAgeMs) continue;
      const rest = this.#rest[stream];
      const whole = wholeCharacters(rest);
      if (whole > 0) this.#takePartial(stream, rest.subarray(0, whole), atMs);
      this.#rest[stream] = whole === rest.length ? empty : Buffer.from(rest.subarray(whole));
    }
  }

  /** Hands out everything that is left, also half characters: nothing more will come. */
  end(atMs: number): void {
    for (const stream of ["stdout", "stderr"] as const) {
      if (this.#rest[stream].length > 0) this.#takePartial(stream, this.#rest[stream], atMs);
      this.#rest[stream] = empty;
    }
  }

  #takeLines(stream: LogStream, text: Buffer, atMs: number): void {
    const whole = { atMs, stream, partial: false };
    const partial = { atMs, stream, partial: true };
    for (let start = 0; start < text.length; ) {
      const end = findNewline(text, start);
      while (end - start > maxLineBytes) {
        const cut = start + wholeCharacters(text.subarray(start, start + maxLineBytes));
        this.#take(partial, text, start, cut);
        start = cut;
      }
      this.#take(whole, text, start, end);
      start = end + 1;
    }
  }

  #takePartial(stream: LogStream, bytes: Buffer, atMs: number): void {
    const text = toUtf8(bytes);
    this.#take({ atMs, stream, partial: true }, text, 0, text.length);
  }
}

/** The next newline, which there is: a near one is found before a native search has begun. */
function findNewline(text: Buffer, start: number): number {
  const near = start + nearBytes;
  for (let at = start; at < near; at++) if (text[at] === newline) return at;
  return text.indexOf(newline, near);
}

/** Validity is checked for a whole read at once, natively; only invalid text is decoded and encoded again. */
function toUtf8(bytes: Buffer): Buffer {
  return isUtf8(bytes) ? bytes : Buffer.from(bytes.toString("utf8"));
}

/** Length without the start of a UTF-8 character that is cut off at the end. */
function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) {
      const expected = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return expected > back ? bytes.length - back : bytes.length;
    }
  }
  return bytes.length;
}
