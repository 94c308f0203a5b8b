import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, type Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdCompress, createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { extract } from "tar-stream";
import * as z from "zod";

/** A blob of a saved image, compressed into a file of its own. */
export interface SavedBlob {
  /** Of what it was compressed from. */
  digest: string;
  file: string;
  bytes: number;
}

/** What is done with the blobs of an image as they come. */
export interface SplitOptions {
  /** Where their files go. */
  folder: string;
  /** Whether a blob is of interest, where its name tells its digest: one that is not is only read past. */
  wants: (digest: string) => boolean;
  takeBlob: (blob: SavedBlob) => void | Promise<void>;
}

/** What stands in `docker save` beside blobs, in the layouts of old and new versions, and is not looked at. */
const otherFiles = /(^|\/)(oci-layout|repositories|VERSION|json)$/;
const listNames = ["manifest.json", "index.json"] as const;
/** Lists of tags and layers, manifests and configurations have some kilobytes. */
const maxJsonBytes = 16 * 1024 * 1024;
/** An index may name another index; none does so for ever. */
const maxIndexDepth = 4;

/**
 * Takes an image as `docker save` writes it apart into blobs, one after the other with flat memory. Both layouts are
 * read (`<id>/layer.tar`, and `blobs/sha256/<digest>` of OCI, with or without Docker's own list): whatever a blob is
 * called, it is named by its own digest, that of what is inside where it is compressed. Tells the image's
 * configuration, whose digest is its id everywhere.
 */
export async function splitSavedImage(
  archive: Readable,
  { folder, wants, takeBlob }: SplitOptions,
  signal: AbortSignal,
): Promise<{ config: SavedBlob }> {
  const blobs = new Map<string, SavedBlob>();
  const lists = new Map<string, unknown>();
  const entries = extract();
  const reading = pipeline(archive, entries, { signal });
  // What breaks the reading is told by the loop below, too; here it must only not go unheard.
  reading.catch(() => undefined);
  for await (const entry of entries) {
    const { name, type } = entry.header;
    const list = listNames.find((known) => known === name);
    const digest = digestOfName(name);
    const isOfUse = digest === undefined ? !otherFiles.test(name) : wants(digest);
    if (type !== "file" || !isOfUse) entry.resume();
    else if (list) lists.set(list, JSON.parse(await readText(entry)));
    else {
      const blob = await packBlob(entry as unknown as Readable, join(folder, `blob-${blobs.size}.zst`), signal);
      blobs.set(name, blob);
      await takeBlob(blob);
    }
  }
  await reading;
  const config = blobs.get((await findConfig(lists, blobs)) ?? "");
  if (config === undefined) throw new Error("docker save wrote no image that can be read");
  return { config };
}

/** The digest that the name of a blob of the OCI layout tells: of what is stored, which may be compressed. */
function digestOfName(name: string): string | undefined {
  const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(name)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

/** Name of the configuration: by Docker's own list, else by the index of OCI. */
async function findConfig(
  lists: ReadonlyMap<string, unknown>,
  blobs: ReadonlyMap<string, SavedBlob>,
): Promise<string | undefined> {
  const listed = z.tuple([z.object({ Config: z.string() })], z.unknown()).safeParse(lists.get("manifest.json"));
  if (listed.success) return listed.data[0].Config;
  let document = lists.get("index.json");
  for (let depth = 0; depth <= maxIndexDepth; depth++) {
    const parsed = ociSchema.safeParse(document);
    if (!parsed.success) return undefined;
    const { config, manifests = [] } = parsed.data;
    if (config) return nameOfDigest(config.digest);
    // What tells how an image was built stands beside it, for a platform that nobody has.
    const image = manifests.find(({ platform }) => platform?.os !== "unknown");
    const blob = image && blobs.get(nameOfDigest(image.digest));
    if (!blob || blob.bytes > maxJsonBytes) return undefined;
    document = JSON.parse(zstdDecompressSync(await readFile(blob.file), { maxOutputLength: maxJsonBytes }).toString());
  }
  return undefined;
}

/** An index of OCI, or a manifest. */
const ociSchema = z.object({
  config: z.object({ digest: z.string() }).optional(),
  manifests: z.array(z.object({ digest: z.string(), platform: z.object({ os: z.string() }).optional() })).optional(),
});

function nameOfDigest(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

async function readText(entry: AsyncIterable<unknown>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of entry) {
    bytes += (piece as Buffer).length;
    if (bytes > maxJsonBytes) throw new Error("docker save wrote a list that is too long");
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
