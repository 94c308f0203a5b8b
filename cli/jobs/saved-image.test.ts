import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { digestOf, makeSavedImage } from "../../test/support/saved-image.ts";
import { splitSavedImage } from "./saved-image.ts";

const never = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-split-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function split(archive: Buffer) {
  const blobs = new Map<string, Buffer>();
  const pieces = Array.from({ length: Math.ceil(archive.length / 700) }, (_, n) =>
    archive.subarray(n * 700, (n + 1) * 700),
  );
  const { imageId } = await splitSavedImage(
    Readable.from(pieces),
    folder,
    async ({ digest, file, bytes }) => {
      const content = await readFile(file);
      expect(content.length).toBe(bytes);
      blobs.set(digest, zstdDecompressSync(content));
    },
    never,
  );
  return { imageId, blobs };
}

describe("splitSavedImage", () => {
  it.each(["classic", "oci"] as const)(
    "names configuration and layers of the %s layout by what is inside",
    async (layout) => {
      const contents = ["a layer ".repeat(500), "", "another"];
      const saved = await makeSavedImage(contents, layout);
      const { imageId, blobs } = await split(saved.archive);
      expect(imageId).toBe(saved.imageId);
      expect([...blobs.keys()].sort()).toEqual([saved.imageId, ...saved.layers].sort());
      for (const [digest, blob] of blobs) expect(digestOf(blob)).toBe(digest);
      expect(saved.layers.map((digest) => blobs.get(digest)?.toString())).toEqual(contents);
    },
  );

  it("fails on an archive that is cut off or holds no image", async () => {
    const { archive } = await makeSavedImage(["x".repeat(5_000)]);
    await expect(split(archive.subarray(0, 2_000))).rejects.toThrow();
    await expect(split(Buffer.alloc(1_024))).rejects.toThrow("no image that can be read");
  });
});
