import type { LogContent, LogRun } from "../../shared/domain/log-line.ts";
import { countNewlines } from "./newlines.ts";

const firstCapacity = 16 * 1024;
const growth = 4;
/** About what a run takes in memory: a program that changes its stream with every line makes one of each. */
const runBytes = 64;

/** Lines of a log on their way into one chunk: their text in one growing buffer, and the runs that it is made of. */
export class LogBlock {
  #buffer = Buffer.allocUnsafe(firstCapacity);
  #textBytes = 0;
  #runs: LogRun[] = [];
  #lines = 0;

  /** Bytes of the text and of what is kept beside it. */
  get bytes(): number {
    return this.#textBytes + this.#runs.length * runBytes;
  }

  /** Bytes of the text as it was printed. */
  get textBytes(): number {
    return this.#textBytes;
  }

  get lines(): number {
    return this.#lines;
  }

  /** Time of the first line. */
  get firstAtMs(): number {
    return this.#runs[0]?.atMs ?? 0;
  }

  /** What the chunk will hold; it shares its memory with the block. */
  get content(): LogContent {
    return { text: this.#buffer.subarray(0, this.#textBytes), runs: this.#runs };
  }

  /** Adds lines that were read together, as the cutter hands them out. */
  append(kind: Pick<LogRun, "atMs" | "stream" | "partial">, source: Buffer, start: number, end: number): void {
    const at = this.#textBytes;
    const textEnd = at + end - start;
    if (textEnd > this.#buffer.length) this.#grow(textEnd);
    source.copy(this.#buffer, at, start, end);
    this.#textBytes = textEnd;
    const lines = kind.partial ? 1 : countNewlines(this.#buffer, at, textEnd);
    this.#lines += lines;
    const last = this.#runs.at(-1);
    const continues = last?.atMs === kind.atMs && last.stream === kind.stream && !last.partial && !kind.partial;
    if (continues) {
      last.lines += lines;
      last.bytes += end - start;
    } else {
      this.#runs.push({ ...kind, lines, bytes: end - start });
    }
  }

  /** Forgets what it holds and keeps its memory: a step in full flow would else allocate as much as it prints. */
  clear(): void {
    this.#textBytes = 0;
    this.#runs = [];
    this.#lines = 0;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * growth));
    this.#buffer.copy(larger, 0, 0, this.#textBytes);
    this.#buffer = larger;
  }
}
