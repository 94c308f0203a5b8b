import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { decompress } from "./decompress.ts";

async function* cut(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

async function unpack(bytes: Buffer, pieceBytes = 64 * 1024): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(decompress(cut(bytes, pieceBytes))));
}

const text = Buffer.from("some text that is told again and again; ".repeat(20_000));
const noise = Buffer.from(Array.from({ length: 300_000 }, (_, n) => (n * 2654435761 * (n + 7)) & 0xff));
const skippable = Buffer.concat([Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]), Buffer.from("xyz")]);

describe("decompress", () => {
  it.each([1 << 20, 4096, 3])("puts frames together that come in pieces of %i bytes", async (pieceBytes) => {
    const frames = [text.subarray(0, 5_000), Buffer.alloc(0), noise.subarray(0, 9_000), Buffer.alloc(400_000)];
    const packed = Buffer.concat([...frames.map((frame) => zstdCompressSync(frame)), skippable]);
    expect((await unpack(packed, pieceBytes)).equals(Buffer.concat(frames))).toBe(true);
  });

  it("takes frames of many blocks, compressed or not", async () => {
    const packed = Buffer.concat([zstdCompressSync(text), zstdCompressSync(noise), zstdCompressSync(text)]);
    expect((await unpack(packed)).equals(Buffer.concat([text, noise, text]))).toBe(true);
  });

  it("refuses what is damaged, cut off or something else", async () => {
    const packed = Buffer.concat([zstdCompressSync(text), zstdCompressSync(noise)]);
    await expect(unpack(packed.subarray(0, -5))).rejects.toThrow("ends too early");
    await expect(unpack(Buffer.from("not zstd at all"))).rejects.toThrow("not compressed with zstd");
    await expect(unpack(Buffer.concat([packed, Buffer.from("more of it")]))).rejects.toThrow(
      "not compressed with zstd",
    );
  });

  it("lets go of its source when its reader stops", async () => {
    const packed = Buffer.concat([zstdCompressSync(text), zstdCompressSync(noise)]);
    for await (const _ of decompress(cut(packed, 1000))) break;
  });
});
