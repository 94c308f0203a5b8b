import type { LogStream } from "../logs/line-cutter.ts";

const empty = Buffer.alloc(0);

/** Looks for a text in two streams; it may lie across reads. */
export class TextFinder {
  readonly #needle: Buffer;
  readonly #rest: Record<LogStream, Buffer> = { stdout: empty, stderr: empty };
  readonly #found = new AbortController();

  constructor(text: string) {
    this.#needle = Buffer.from(text);
  }

  /** Aborted when the text has come, so that it ends waits. */
  get found(): AbortSignal {
    return this.#found.signal;
  }

  push(stream: LogStream, bytes: Buffer): void {
    if (this.#found.signal.aborted) return;
    const all = this.#rest[stream].length === 0 ? bytes : Buffer.concat([this.#rest[stream], bytes]);
    if (all.includes(this.#needle)) {
      this.#found.abort();
      return;
    }
    const kept = Math.min(all.length, this.#needle.length - 1);
    // A copy: the reader's buffer must not live on for the sake of a few bytes.
    this.#rest[stream] = Buffer.from(all.subarray(all.length - kept));
  }
}
