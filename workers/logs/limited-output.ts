import type { StepOutput } from "../executors/executor.ts";
import type { LogStream } from "./line-cutter.ts";

const newline = 0x0a;

/** Passes on at most `maxBytes` of an output, then one notice, then nothing: the writer is never held up by it. */
export class LimitedOutput implements StepOutput {
  readonly #output: StepOutput;
  readonly #maxBytes: number;
  readonly #notice: string;
  #bytes = 0;

  constructor(output: StepOutput, limit: { maxBytes: number; notice: string }) {
    this.#output = output;
    this.#maxBytes = limit.maxBytes;
    this.#notice = limit.notice;
  }

  /** Bytes that were not passed on. */
  get droppedBytes(): number {
    return Math.max(0, this.#bytes - this.#maxBytes);
  }

  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    const left = this.#maxBytes - this.#bytes;
    const wasFull = left < 0;
    this.#bytes += bytes.length;
    if (wasFull) return undefined;
    if (bytes.length <= left) return this.#output.write(stream, bytes);
    const last = bytes.subarray(0, left);
    // The line that is cut ends before the notice, which would stand in its middle.
    const kept = left > 0 && last[left - 1] !== newline ? Buffer.concat([last, Buffer.from("\n")]) : last;
    const written = left > 0 ? this.#output.write(stream, kept) : undefined;
    const noticed = this.#output.write("stderr", Buffer.from(`${this.#notice}\n`));
    return written === undefined ? noticed : written.then(() => noticed);
  }
}
