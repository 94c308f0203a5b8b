import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { createZstdDecompress } from "node:zlib";
import pLimit from "p-limit";
import { type Pack, pack } from "tar-stream";
import { z } from "zod";
import { retryWithBackoff } from "../../retry.ts";
import { type DockerClient, statusOf } from "./docker-client.ts";

const fetchRetries = 2;
const parallelFetches = 3;
const parallelInspections = 8;
/** A configuration has some kilobytes; what is much larger is none. */
const maxConfigBytes = 16 * 1024 * 1024;

const configSchema = z.object({ rootfs: z.object({ diff_ids: z.array(z.string()) }) });

/** Where the blobs of an image are, by digest. */
export type BlobLinks = Readonly<Record<string, string>>;

/** A blob that cannot be had, however often it is asked for. */
export class BlobUnavailable extends Error {}

/**
 * Puts an image together from the blobs it was shipped in, as an archive that every version of Docker loads. Each blob
 * is checked against its digest. Layers that the daemon has already, in the images it knows, are neither fetched nor
 * sent to it.
 */
export class ShippedImage {
  readonly #docker: DockerClient;
  readonly #links: BlobLinks;
  readonly #signal: AbortSignal;

  constructor(docker: DockerClient, links: BlobLinks, signal: AbortSignal) {
    this.#docker = docker;
    this.#links = links;
    this.#signal = signal;
  }

  /** Fetches what is needed into the scratch folder and answers the archive; the folder is removed after `use`. */
  async withArchive(
    imageId: string,
    scratchFolder: string,
    options: { knownLayersToo: boolean },
    use: (archive: Readable) => Promise<void>,
  ): Promise<void> {
    const folder = await mkdtemp(join(scratchFolder, "image-"));
    try {
      const configFile = await this.#fetchBlob(imageId, folder);
      const layers = await readLayers(configFile);
      const known = options.knownLayersToo ? 0 : await countKnownLayers(this.#docker, layers);
      const wanted = [...new Set(layers.slice(known))];
      const limit = pLimit(parallelFetches);
      const fetched = await Promise.all(
        wanted.map((digest) => limit(async () => [digest, await this.#fetchBlob(digest, folder)] as const)),
      );
      const archive = pack();
      const writing = writeArchive(archive, { imageId, configFile, layers, files: new Map(fetched) });
      // Whoever reads the archive meets what broke its writing.
      writing.catch((error: unknown) => archive.destroy(error as Error));
      await use(archive as unknown as Readable);
      await writing;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #fetchBlob(digest: string, folder: string): Promise<string> {
    const url = this.#links[digest];
    if (url === undefined) throw new BlobUnavailable(`its part ${shorten(digest)} was not shipped with the job`);
    const file = join(folder, digest.replace(":", "-"));
    await retryWithBackoff(() => download(url, digest, file, this.#signal), {
      signal: this.#signal,
      retries: fetchRetries,
      firstDelayMs: 1_000,
      isRetryable: (error) => !(error instanceof BlobUnavailable),
    });
    return file;
  }
}

function shorten(digest: string): string {
  return digest.slice(0, 19);
}

async function download(url: string, digest: string, file: string, signal: AbortSignal): Promise<void> {
  const answer = await fetch(url, { signal });
  if (!answer.ok || answer.body === null) {
    await answer.body?.cancel();
    const message = `its part ${shorten(digest)} was answered with HTTP status ${answer.status}`;
    const isRefused = answer.status >= 400 && answer.status < 500 && answer.status !== 408 && answer.status !== 429;
    throw isRefused ? new BlobUnavailable(message) : new Error(message);
  }
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const body = Readable.fromWeb(answer.body as ReadableStream);
  await pipeline(body, createZstdDecompress(), hashing, createWriteStream(file, { mode: 0o600 }), { signal });
  const found = `sha256:${hash.digest("hex")}`;
  if (found !== digest) throw new Error(`its part ${shorten(digest)} is damaged: its digest is ${shorten(found)}`);
}

async function readLayers(configFile: string): Promise<string[]> {
  if ((await stat(configFile)).size > maxConfigBytes) throw new BlobUnavailable("its configuration is too large");
  const config = configSchema.safeParse(JSON.parse(await readFile(configFile, "utf8")));
  if (!config.success) throw new BlobUnavailable("its configuration names no layers");
  return config.data.rootfs.diff_ids;
}

/** How many of the lowest layers stand, in this order, at the bottom of an image that the daemon has. */
async function countKnownLayers(docker: DockerClient, layers: readonly string[]): Promise<number> {
  const limit = pLimit(parallelInspections);
  const images = await docker.listImages({ all: true });
  const counts = await Promise.all(
    images.map(({ Id }) =>
      limit(async () => {
        const { RootFS } = await docker.getImage(Id).inspect();
        const own = RootFS.Layers ?? [];
        const different = layers.findIndex((digest, index) => own[index] !== digest);
        return different < 0 ? layers.length : different;
      }).catch((error: unknown) => {
        // Removed meanwhile.
        if (statusOf(error) === 404) return 0;
        throw error;
      }),
    ),
  );
  return counts.reduce((most, count) => Math.max(most, count), 0);
}

interface ArchiveParts {
  imageId: string;
  configFile: string;
  layers: readonly string[];
  /** Those layers that are sent. */
  files: ReadonlyMap<string, string>;
}

/** The layout of `docker save` that all versions read; a layer that is not sent is only named. */
async function writeArchive(archive: Pack, { imageId, configFile, layers, files }: ArchiveParts): Promise<void> {
  const pathOf = (digest: string) => `${digest.replace("sha256:", "")}/layer.tar`;
  const config = `${imageId.replace("sha256:", "")}.json`;
  await addFile(archive, config, configFile);
  for (const [digest, file] of files) await addFile(archive, pathOf(digest), file);
  const list = JSON.stringify([{ Config: config, RepoTags: null, Layers: layers.map(pathOf) }]);
  archive.entry({ name: "manifest.json" }, list);
  archive.finalize();
}

async function addFile(archive: Pack, name: string, file: string): Promise<void> {
  const { size } = await stat(file);
  await pipeline(createReadStream(file), archive.entry({ name, size }));
}
