import type { StepOutput } from "../executors/executor.ts";
import type { LogStream } from "./line-cutter.ts";

const newline = 0x0a;

/** Passes on at most `maxBytes` of an output, then one notice, then nothing: the writer is never held up by it. */
export class LimitedOutput implements StepOutput {
  readonly #output: StepOutput;
  readonly #maxBytes: number;
  readonly #notice: string;
  #bytes = 0;
  #isFull = false;

  constructor(output: StepOutput, limit: { maxBytes: number; notice: string }) {
    this.#output = output;
    this.#maxBytes = limit.maxBytes;
    this.#notice = limit.notice;
  }

  write(stream: LogStream, bytes: Buffer): Promise<void> | undefined {
    if (this.#isFull) return undefined;
    const left = this.#maxBytes - this.#bytes;
    this.#bytes += bytes.length;
    if (bytes.length <= left) return this.#output.write(stream, bytes);
    this.#isFull = true;
    const last = bytes.subarray(0, left);
    const isOpen = stream === "stderr" && left > 0 && last[left - 1] !== newline;
    const written = left > 0 ? this.#output.write(stream, last) : undefined;
    const noticed = this.#output.write("stderr", Buffer.from(`${isOpen ? "\n" : ""}${this.#notice}\n`));
    return written === undefined ? noticed : written.then(() => noticed);
  }
}
