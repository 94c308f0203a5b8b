import { PassThrough, type Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createZstdDecompress } from "node:zlib";

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;
const blockHeaderBytes = 3;
/** Bytes that are handed on at once: each piece passes several streams, and takes some time in each. */
const chunkBytes = 256 * 1024;

/**
 * Decompresses a file of zstd frames that follow one another, as artifacts are, with flat memory. Node's own stream ends
 * with the first frame and drops the others without a word, so each frame is cut out and decompressed by a stream of its
 * own. Throws where the file is damaged or ends too early.
 */
export async function* decompress(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const input = new InputBytes(source);
  while (!(await input.isAtEnd())) {
    const frame = new PassThrough();
    const output = createZstdDecompress({ chunkSize: chunkBytes });
    const cut = cutFrame(input, frame);
    // Both fail what is read below; the cut's own error says more than that of a stream which it ended.
    cut.catch((error: Error) => frame.destroy(error));
    const decompressed = pipeline(frame as Readable, output as Writable);
    decompressed.catch((error: Error) => output.destroy(error));
    try {
      yield* output as AsyncIterable<Buffer>;
      await cut;
    } finally {
      frame.destroy();
      output.destroy();
    }
  }
}

/** Copies one frame, told from the next by its own headers. */
async function cutFrame(input: InputBytes, frame: PassThrough): Promise<void> {
  const copy = async (bytes: number) => {
    for await (const piece of input.take(bytes)) {
      if (!frame.write(piece)) await untilDrained(frame);
    }
  };
  const magic = (await input.peek(4)).readUInt32LE();
  if (magic >>> 4 === skippableMagic >>> 4) {
    const size = (await input.peek(8)).readUInt32LE(4);
    await copy(8 + size);
  } else if (magic === frameMagic) {
    const descriptor = (await input.peek(5))[4] ?? 0;
    await copy(frameHeaderBytes(descriptor));
    for (let isLast = false; !isLast; ) {
      const header = (await input.peek(blockHeaderBytes)).readUIntLE(0, blockHeaderBytes);
      isLast = (header & 1) === 1;
      // A block of the second type holds one byte and says how often it stands there.
      const contentBytes = ((header >> 1) & 3) === 1 ? 1 : header >> 3;
      await copy(blockHeaderBytes + contentBytes);
    }
    if ((descriptor & 4) !== 0) await copy(4);
  } else throw new Error("it is not compressed with zstd");
  frame.end();
}

/** Bytes of a frame's magic number and header, as its descriptor says. */
function frameHeaderBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
}

/** Bytes of a source in order, to be looked at before they are taken. */
class InputBytes {
  readonly #source: AsyncIterator<Buffer>;
  #pending: Buffer = Buffer.alloc(0);
  #isOver = false;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#pending.length === 0 && !this.#isOver) await this.#read();
    return this.#pending.length === 0;
  }

  /** The next bytes, without taking them. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.#pending.length < bytes) {
      if (this.#isOver) throw new Error("it ends too early");
      await this.#read();
    }
    return this.#pending.subarray(0, bytes);
  }

  async *take(bytes: number): AsyncGenerator<Buffer> {
    for (let left = bytes; left > 0; ) {
      if (await this.isAtEnd()) throw new Error("it ends too early");
      const piece = this.#pending.subarray(0, left);
      this.#pending = this.#pending.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #read(): Promise<void> {
    const next = await this.#source.next();
    if (next.done === true) this.#isOver = true;
    else this.#pending = this.#pending.length === 0 ? next.value : Buffer.concat([this.#pending, next.value]);
  }
}

/** Waits until a stream takes more, or is closed. */
function untilDrained(stream: PassThrough): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      stream.off("drain", settle);
      stream.off("close", settle);
      if (stream.destroyed) reject(new Error("it was given up"));
      else resolve();
    };
    stream.on("drain", settle);
    stream.on("close", settle);
  });
}
