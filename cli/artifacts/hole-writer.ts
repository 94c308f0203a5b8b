import { once } from "node:events";
import { ftruncate, write } from "node:fs";
import { Writable } from "node:stream";
import { promisify } from "node:util";

/** Shorter holes are not worth two writes. */
const zeros = Buffer.alloc(16 * 1024);
const writeAsync = promisify(write);
const truncateAsync = promisify(ftruncate);

/**
 * Stands between a member of an archive and the file that its unpacker has opened for it, and writes that file itself:
 * over what consists of zeros it passes, so that a file with holes gets them back. What goes wrong is told by the
 * unpacker's own stream, which closes the file; the rest of the member is then swallowed, for others follow it.
 */
export class HoleWriter extends Writable {
  /** Known once it is open; the first bytes may come before that. */
  readonly #file = Promise.withResolvers<number | undefined>();
  #target: NodeJS.WritableStream | undefined;
  #isBroken = false;
  #position = 0;

  override pipe<T extends NodeJS.WritableStream>(target: T): T {
    this.#target = target;
    once(target, "open").then(
      ([file]) => this.#file.resolve(file as number),
      // Told already by the stream that could not open it.
      () => this.#file.resolve(undefined),
    );
    return target;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const position = this.#position;
    this.#position += chunk.length;
    const runs = findRuns(chunk);
    if (runs.length === 0) return void done();
    const writeRuns = async (file: number) => {
      for (const { start, end } of runs) await writeAll(file, chunk.subarray(start, end), position + start);
    };
    void this.#work(writeRuns).then(() => done());
  }

  override _final(done: () => void): void {
    // Zeros at the end were passed over, too.
    void this.#work((file) => truncateAsync(file, this.#position))
      .then((isDone) => isDone && this.#target?.end())
      .then(() => done());
  }

  /** Whether it was done: not where it failed, now or before. */
  async #work(work: (file: number) => Promise<void>): Promise<boolean> {
    const file = await this.#file.promise;
    if (file === undefined || this.#isBroken) return false;
    try {
      await work(file);
      return true;
    } catch (error) {
      this.#isBroken = true;
      this.#target?.emit("error", error);
      return false;
    }
  }
}

/** What of a chunk has to be written: pieces in a row that are more than zeros. */
function findRuns(chunk: Buffer): { start: number; end: number }[] {
  const runs: { start: number; end: number }[] = [];
  for (let start = 0; start < chunk.length; start += zeros.length) {
    const piece = chunk.subarray(start, start + zeros.length);
    if (piece.equals(zeros.subarray(0, piece.length))) continue;
    const end = start + piece.length;
    const last = runs.at(-1);
    if (last?.end === start) last.end = end;
    else runs.push({ start, end });
  }
  return runs;
}

async function writeAll(file: number, chunk: Buffer, position: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const { bytesWritten } = await writeAsync(file, chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
}
