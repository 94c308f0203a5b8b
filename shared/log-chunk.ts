import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { formatLogRuns, type LogContent, parseLogRuns } from "./domain/log-line.ts";
import type { LogChunkName } from "./domain/object-keys.ts";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** A frame that decoders of zstd pass over (RFC 8878, 3.1.2): this number, the length of what follows, and that. */
const skippableMagic = 0x184d2a50;
const lengthBytes = 4;
const headBytes = 2 * lengthBytes;
const unreadable = "this is no chunk of a log, or it is damaged, or another version of Sluice wrote it";

/** Texts of this size come from a step in full flow: half the CPU then counts for more than some percent of bytes. */
const largeTextBytes = 256 * 1024;
const levels = { thorough: 3, fast: 1 };
/** Output of the compressor comes in pieces of this size; each costs a turn of the event loop. */
const mostPieceBytes = 512 * 1024;
const leastPieceBytes = 16 * 1024;

/**
 * A chunk of a log as it is stored: its text in one frame of zstd, so that every decoder gives the text; behind it, in a
 * frame that decoders pass over, the runs (compressed) and at the very end their length. `content` must not change until
 * it is done. Each frame has a checksum: what was damaged is not taken for what was printed.
 */
export async function packLogChunk({ text, runs }: LogContent): Promise<Buffer> {
  const index = Buffer.from(formatLogRuns(runs));
  const [packedText, packedIndex] = await Promise.all([compressBytes(text), compressBytes(index)]);
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(skippableMagic);
  head.writeUInt32LE(packedIndex.length + lengthBytes, lengthBytes);
  const tail = Buffer.alloc(lengthBytes);
  tail.writeUInt32LE(packedIndex.length);
  return Buffer.concat([packedText, head, packedIndex, tail]);
}

/**
 * Reads a chunk that was stored as `name` says. One that is damaged, or in the form of another version, is a line that says
 * so: the rest of the log is worth reading all the same.
 */
export async function readLogChunk(
  stored: Uint8Array,
  { lines, bytes, firstAtMs }: Pick<LogChunkName, "lines" | "bytes" | "firstAtMs">,
): Promise<LogContent> {
  try {
    return await unpackLogChunk(stored);
  } catch (error) {
    const what = `${lines} ${lines === 1 ? "line" : "lines"} (${bytes} bytes) cannot be read`;
    const why = error instanceof Error ? error.message : String(error);
    const text = Buffer.from(`[sluice] ${what}: ${why.replaceAll("\n", " ")}\n`);
    const run = { atMs: firstAtMs, stream: "stderr" as const, partial: false, lines: 1, bytes: text.length };
    return { text, runs: [run], isNotice: true };
  }
}

/** Reads what `packLogChunk` made. Throws where it is something else. */
export async function unpackLogChunk(stored: Uint8Array): Promise<LogContent> {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const indexEnd = bytes.length - lengthBytes;
  const indexStart = indexEnd - (indexEnd < 0 ? 0 : bytes.readUInt32LE(indexEnd));
  const textEnd = indexStart - headBytes;
  if (textEnd < 0 || bytes.readUInt32LE(textEnd) !== skippableMagic) {
    throw new Error(unreadable);
  }
  const [text, index] = await Promise.all([
    decompress(bytes.subarray(0, textEnd)),
    decompress(bytes.subarray(indexStart, indexEnd)),
  ]);
  const runs = parseLogRuns(index.toString());
  if (runs.reduce((sum, run) => sum + run.bytes, 0) !== text.length) throw new Error(unreadable);
  return { text, runs };
}

function compressBytes(bytes: Buffer): Promise<Buffer> {
  return compress(bytes, {
    chunkSize: Math.min(mostPieceBytes, Math.max(leastPieceBytes, bytes.length >> 2)),
    params: {
      [constants.ZSTD_c_compressionLevel]: bytes.length >= largeTextBytes ? levels.fast : levels.thorough,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}
