import { isUtf8 } from "node:buffer";
import type { LogRun } from "../../shared/domain/log-line.ts";

export type LogStream = LogRun["stream"];

/**
 * Takes lines that were read together: `source[start, end)`, valid UTF-8. Whole lines come many at once, each with its
 * newline; a partial one comes alone.
 */
export type LinesTaker = (
  lines: Pick<LogRun, "atMs" | "stream" | "partial">,
  source: Buffer,
  start: number,
  end: number,
) => void;

/** Longest piece of one line, in bytes; longer lines are cut into pieces marked as partial. */
export const maxLineBytes = 64 * 1024;

const newline = 0x0a;
const empty = Buffer.alloc(0);

/**
 * Cuts the bytes of a step's two streams at the ends of lines. Bytes that are no UTF-8 become U+FFFD; a character that lies
 * across two reads stays whole. What it keeps between reads is shorter than `maxLineBytes` a stream.
 */
export class LineCutter {
  readonly #take: LinesTaker;
  readonly #rest: Record<LogStream, Buffer> = { stdout: empty, stderr: empty };
  /** When the line that `#rest` is the start of began. */
  readonly #restSinceMs: Record<LogStream, number> = { stdout: 0, stderr: 0 };

  constructor(take: LinesTaker) {
    this.#take = take;
  }

  /** True where the start of a line waits for its end. */
  get hasRest(): boolean {
    return this.#rest.stdout.length > 0 || this.#rest.stderr.length > 0;
  }

  push(stream: LogStream, bytes: Buffer, atMs: number): void {
    const rest = this.#rest[stream];
    const linesEnd = bytes.lastIndexOf(newline) + 1;
    if (linesEnd > 0 || rest.length === 0) this.#restSinceMs[stream] = atMs;
    if (linesEnd === 0) {
      this.#keepRest(stream, rest.length === 0 ? bytes : Buffer.concat([rest, bytes]), atMs);
      return;
    }
    // Only the line that lies across both reads is copied.
    const firstEnd = rest.length === 0 ? 0 : bytes.indexOf(newline) + 1;
    if (firstEnd > 0) this.#takeLines(stream, Buffer.concat([rest, bytes.subarray(0, firstEnd)]), atMs);
    if (linesEnd > firstEnd) this.#takeLines(stream, bytes.subarray(firstEnd, linesEnd), atMs);
    this.#keepRest(stream, bytes.subarray(linesEnd), atMs);
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

  /** Keeps the start of a line, but for pieces that are long enough to be handed out. */
  #keepRest(stream: LogStream, bytes: Buffer, atMs: number): void {
    let start = 0;
    while (bytes.length - start >= maxLineBytes) {
      const end = start + wholeCharacters(bytes.subarray(start, start + maxLineBytes));
      this.#takePartial(stream, bytes.subarray(start, end), atMs);
      start = end;
    }
    // A copy: the reader's buffer must not live on for the sake of a few bytes.
    this.#rest[stream] = start === bytes.length ? empty : Buffer.from(bytes.subarray(start));
  }

  /** Whole lines. Validity is checked and long lines are looked for natively, not line by line. */
  #takeLines(stream: LogStream, lines: Buffer, atMs: number): void {
    const text = toUtf8(lines);
    for (let start = 0; start < text.length; ) {
      const window = start + maxLineBytes;
      const end = window >= text.length - 1 ? text.length : text.lastIndexOf(newline, window) + 1;
      if (end > start) {
        this.#take({ atMs, stream, partial: false }, text, start, end);
        start = end;
        continue;
      }
      const cut = start + wholeCharacters(text.subarray(start, window));
      this.#take({ atMs, stream, partial: true }, text, start, cut);
      start = cut;
    }
  }

  #takePartial(stream: LogStream, bytes: Buffer, atMs: number): void {
    const text = toUtf8(bytes);
    this.#take({ atMs, stream, partial: true }, text, 0, text.length);
  }
}

/** Only invalid text is decoded and encoded again. */
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
