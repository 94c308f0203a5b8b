import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
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

async function split(archive: Buffer, wants: (digest: string) => boolean = () => true) {
  const files = new Map<string, string>();
  const pieces = Array.from({ length: Math.ceil(archive.length / 700) }, (_, n) =>
    archive.subarray(n * 700, (n + 1) * 700),
  );
  const { config } = await splitSavedImage(
    Readable.from(pieces),
    {
      folder,
      wants,
      takeBlob: ({ digest, file }) => {
        files.set(digest, file);
      },
    },
    never,
  );
  const blobs = new Map<string, Buffer>();
  for (const [digest, file] of files) blobs.set(digest, zstdDecompressSync(await readFile(file)));
  return { config, blobs };
}

describe("splitSavedImage", () => {
  it.each(["classic", "oci", "oci-index"] as const)(
    "names configuration and layers of the %s layout by what is inside",
    async (layout) => {
      const contents = ["a layer ".repeat(500), "", "another"];
      const saved = await makeSavedImage(contents, layout);
      const { config, blobs } = await split(saved.archive);
      expect(config.digest).toBe(saved.imageId);
      expect((await stat(config.file)).size).toBe(config.bytes);
      expect([...blobs.keys()]).toEqual(expect.arrayContaining([saved.imageId, ...saved.layers]));
      for (const [digest, blob] of blobs) expect(digestOf(blob)).toBe(digest);
      expect(saved.layers.map((digest) => blobs.get(digest)?.toString())).toEqual(contents);
    },
  );

  it("reads past blobs that nobody wants, where their names tell what they are", async () => {
    const { archive, imageId } = await makeSavedImage(["one", "two"], "oci");
    const { config, blobs } = await split(archive, (digest) => digest === imageId);
    expect(config.digest).toBe(imageId);
    expect([...blobs.keys()]).toEqual([imageId]);
  });

  it("fails on an archive that is cut off or holds no image", async () => {
    const { archive } = await makeSavedImage(["x".repeat(5_000)]);
    await expect(split(archive.subarray(0, 2_000))).rejects.toThrow();
    await expect(split(Buffer.alloc(1_024))).rejects.toThrow("no image that can be read");
  });
});
