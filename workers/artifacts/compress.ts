import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";

/** What is compressed at once. At level 3 the compressor looks back no further than this. */
const frameBytes = 2 * 1024 * 1024;
/** Of the four threads that Node has for such work one is left to others; more than there are cores keeps all busy. */
const framesAtOnce = 3;
const options = { params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize: 1024 * 1024 };
const compressFrame = promisify(zstdCompress) as (frame: Buffer, settings: typeof options) => Promise<Buffer>;

/**
 * Compresses with zstd on several cores: one frame after the other, of some MB each, as the format allows. Memory is flat.
 */
export async function* compress(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const running: Promise<Buffer>[] = [];
  try {
    for await (const frame of cutFrames(source)) {
      const compressed = compressFrame(frame, options);
      // It is awaited in its turn; until then a failure is not an unhandled one.
      compressed.catch(() => undefined);
      running.push(compressed);
      if (running.length >= framesAtOnce) yield (await running.shift()) as Buffer;
    }
    for (const compressed of running.splice(0)) yield await compressed;
  } finally {
    await Promise.allSettled(running);
  }
}

async function* cutFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let frame = Buffer.allocUnsafe(frameBytes);
  let filled = 0;
  for await (const piece of source) {
    for (let taken = 0; taken < piece.length; ) {
      const copied = piece.copy(frame, filled, taken);
      taken += copied;
      filled += copied;
      if (filled < frameBytes) continue;
      yield frame;
      frame = Buffer.allocUnsafe(frameBytes);
      filled = 0;
    }
  }
  if (filled > 0) yield frame.subarray(0, filled);
}
