import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { readAhead } from "../../shared/read-ahead.ts";
import { zeroFrame } from "./tar-archive.ts";

/**
 * More than Node has threads for such work (four): on a busy machine this one is late to hand out the next frame, and
 * they have some until then. Other work for them waits for as long as a frame takes, some hundredths of a second.
 */
const framesAtOnce = 6;
const options = { params: { [constants.ZSTD_c_compressionLevel]: 3 }, chunkSize: 1024 * 1024 };
const compressFrame = promisify(zstdCompress) as (frame: Buffer, settings: typeof options) => Promise<Buffer>;

/**
 * Compresses each piece with zstd, on several cores: one frame after the other, as the format allows. At level 3 the
 * compressor looks back no further than the 2 MiB of a piece. Memory is flat.
 */
export function compress(frames: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let zeros: Promise<Buffer> | undefined;
  const pack = (frame: Buffer) => {
    if (frame !== zeroFrame) return compressFrame(frame, options);
    zeros ??= compressFrame(zeroFrame, options);
    return zeros;
  };
  return readAhead(frames, pack, framesAtOnce);
}
