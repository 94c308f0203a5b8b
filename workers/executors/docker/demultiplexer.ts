import type { LogStream } from "../../logs/line-cutter.ts";

/** Bytes of one stream, in the order they were written. */
export interface StreamRun {
  stream: LogStream;
  bytes: Buffer;
}

const headerBytes = 8;

/**
 * Takes Docker's multiplexed stream apart: frames of an 8-byte header (stream, three zeros, length in big endian) and
 * as many bytes. It keeps no payload between reads, so whoever reads decides how much is in memory.
 * (`modem.demuxStream` writes on without looking whether anybody can take it.)
 */
export class Demultiplexer {
  readonly #header = Buffer.alloc(headerBytes);
  #headerLength = 0;
  #stream: LogStream = "stdout";
  #frameLeft = 0;

  /** Whether what was read so far ends inside of a frame: there must be more to come. */
  get isInsideFrame(): boolean {
    return this.#frameLeft > 0 || this.#headerLength > 0;
  }

  /**
   * The payload of one read, with neighbouring frames of a stream joined: programs that write line by line make a
   * frame of each. The joining moves bytes inside `read`, which must not be used afterwards.
   */
  push(read: Buffer): StreamRun[] {
    const runs: StreamRun[] = [];
    let runStart = 0;
    let runEnd = 0;
    let runStream = this.#stream;
    const endRun = () => {
      if (runEnd > runStart) runs.push({ stream: runStream, bytes: read.subarray(runStart, runEnd) });
    };
    for (let at = 0; at < read.length; ) {
      if (this.#frameLeft === 0) {
        at += this.#readHeader(read, at);
        continue;
      }
      const length = Math.min(this.#frameLeft, read.length - at);
      if (this.#stream !== runStream) {
        endRun();
        runStream = this.#stream;
        runStart = at;
        runEnd = at;
      } else if (runEnd === runStart) {
        runStart = at;
        runEnd = at;
      }
      if (runEnd !== at) read.copyWithin(runEnd, at, at + length);
      runEnd += length;
      at += length;
      this.#frameLeft -= length;
    }
    endRun();
    return runs;
  }

  /** Takes what belongs to the header; tells how many bytes that was. */
  #readHeader(read: Buffer, at: number): number {
    const taken = read.copy(this.#header, this.#headerLength, at, at + headerBytes - this.#headerLength);
    this.#headerLength += taken;
    if (this.#headerLength === headerBytes) {
      this.#stream = this.#header[0] === 2 ? "stderr" : "stdout";
      this.#frameLeft = this.#header.readUInt32BE(4);
      this.#headerLength = 0;
    }
    return taken;
  }
}
