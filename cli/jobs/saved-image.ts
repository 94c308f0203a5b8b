import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdCompress, createZstdDecompress } from "node:zlib";
import { extract } from "tar-stream";

/** A blob of a saved image, compressed into a file of its own. */
export interface SavedBlob {
  /** Of what it was compressed from. */
  digest: string;
  file: string;
  bytes: number;
}

/** What may stand in `docker save` beside configurations and layers, in the layouts of old and new versions. */
const otherFiles = /(^|\/)(manifest\.json|index\.json|oci-layout|repositories|VERSION|json)$/;
/** A list of tags and layers has some kilobytes. */
const maxListBytes = 16 * 1024 * 1024;

/**
 * Takes an image as `docker save` writes it apart into blobs, one after the other with flat memory. Both layouts are
 * read (`<id>/layer.tar`, and `blobs/sha256/<digest>` of OCI): whatever a blob is called, it is named by its own
 * digest, that of what is inside where it is compressed. Tells the digest of the image's configuration, which is its
 * id everywhere.
 */
export async function splitSavedImage(
  archive: Readable,
  folder: string,
  takeBlob: (blob: SavedBlob) => void | Promise<void>,
  signal: AbortSignal,
): Promise<{ imageId: string }> {
  const digests = new Map<string, string>();
  let list: { Config: string }[] | undefined;
  const entries = extract();
  const reading = pipeline(archive, entries, { signal });
  // What breaks the reading is told by the loop below, too; here it must only not go unheard.
  reading.catch(() => undefined);
  let count = 0;
  for await (const entry of entries) {
    const { name, type } = entry.header;
    if (type !== "file") entry.resume();
    else if (name === "manifest.json") list = JSON.parse(await readText(entry)) as { Config: string }[];
    else if (otherFiles.test(name)) entry.resume();
    else {
      const blob = await packBlob(entry as unknown as Readable, join(folder, `blob-${count++}.zst`), signal);
      digests.set(name, blob.digest);
      await takeBlob(blob);
    }
  }
  await reading;
  const imageId = digests.get(list?.[0]?.Config ?? "");
  if (imageId === undefined) throw new Error("docker save wrote no image that can be read");
  return { imageId };
}

async function readText(entry: AsyncIterable<unknown>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of entry) {
    bytes += (piece as Buffer).length;
    if (bytes > maxListBytes) throw new Error("docker save wrote a list that is too long");
    pieces.push(piece as Buffer);
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** Compresses what an entry holds into a file, and tells its digest. */
async function packBlob(entry: Readable, file: string, signal: AbortSignal): Promise<SavedBlob> {
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const { source, unpack } = await unpackerFor(entry);
  await pipeline(source, unpack, hashing, createZstdCompress(), createWriteStream(file, { mode: 0o600 }), { signal });
  return { digest: `sha256:${hash.digest("hex")}`, file, bytes: (await stat(file)).size };
}

/** By its first bytes: newer stores keep layers compressed, and the same layer may be compressed otherwise elsewhere. */
async function unpackerFor(entry: Readable): Promise<{ source: Readable; unpack: Transform }> {
  const iterator = entry[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await iterator.next();
  const start = first.done === true ? Buffer.alloc(0) : first.value;
  const source = PassThrough.from(
    (async function* () {
      yield start;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
    })(),
  ) as Readable;
  if (start[0] === 0x1f && start[1] === 0x8b) return { source, unpack: createGunzip() };
  if (start.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])))
    return { source, unpack: createZstdDecompress() };
  return { source, unpack: new PassThrough() };
}
