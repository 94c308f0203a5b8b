import { PassThrough, type Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import pLimit from "p-limit";
import { pack } from "tar-stream";
import { z } from "zod";
import { IdleLimit } from "../../idle-limit.ts";
import type { BlobCache, CachedBlob } from "../../images/blob-cache.ts";
import { BlobDamaged } from "../../images/blob-content.ts";
import { BlobUnavailable } from "../../images/fetch-blob.ts";
import { withDeadline } from "../../retry.ts";
import { readDaemonProgress } from "./daemon-progress.ts";
import { type DockerClient, statusOf } from "./docker-client.ts";
import { type ImageParts, writeImageArchive } from "./image-archive.ts";
import { type ImageStoreKind, shippedTag } from "./image-store.ts";

const parallelFetches = 3;
const parallelInspections = 8;
const callDeadlineMs = 60_000;
/** A daemon that is given nothing and says nothing for so long has lost its way; large layers take their time. */
const loadIdleMs = 5 * 60_000;
/** A configuration has some kilobytes; what is much larger is none. */
const maxConfigBytes = 16 * 1024 * 1024;

const configSchema = z.object({ rootfs: z.object({ diff_ids: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)) }) });

/** Where the blobs of an image are, by digest. */
export type BlobLinks = Readonly<Record<string, string>>;

export interface ShippedImageOptions {
  docker: DockerClient;
  store: ImageStoreKind;
  cache: BlobCache;
  links: BlobLinks;
  signal: AbortSignal;
}

/**
 * Puts an image together from the blobs it was shipped in and has the daemon load it. Each blob is checked against its
 * digest. Layers that a classic store has already, in the images it knows, are neither fetched nor sent to it.
 */
export class ShippedImage {
  readonly #imageId: string;
  readonly #options: ShippedImageOptions;

  constructor(imageId: string, options: ShippedImageOptions) {
    this.#imageId = imageId;
    this.#options = options;
  }

  /** Loads the image, with the layers that the daemon seems to have only where it is told to. */
  async load({ knownLayersToo }: { knownLayersToo: boolean }): Promise<void> {
    const parts = await this.#collectParts(knownLayersToo);
    await this.#send(parts);
    await this.#verify(parts.layers);
  }

  async #collectParts(knownLayersToo: boolean): Promise<ImageParts> {
    const { docker, store } = this.#options;
    const config = await this.#readConfig();
    const layers = readLayers(config);
    const skipsKnown = store === "classic" && !knownLayersToo;
    const known = skipsKnown ? await countKnownLayers(docker, layers) : 0;
    const wanted = [...new Set(layers.slice(known))];
    return { imageId: this.#imageId, config, layers, blobs: await this.#getBlobs(wanted) };
  }

  async #getBlobs(digests: readonly string[]): Promise<Map<string, CachedBlob>> {
    const { cache, links, signal } = this.#options;
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const limit = pLimit(parallelFetches);
    try {
      const fetches = digests.map((digest) =>
        limit(async () => [digest, await cache.get(digest, links[digest], either)] as const),
      );
      return new Map(await Promise.all(fetches));
    } catch (error) {
      // What is under way for nothing ends.
      failed.abort(error);
      throw error;
    }
  }

  async #readConfig(): Promise<Buffer> {
    const { cache, links, signal } = this.#options;
    const blob = await cache.get(this.#imageId, links[this.#imageId], signal);
    if (blob.bytes > maxConfigBytes) throw new BlobUnavailable("its configuration is too large");
    const content = new PassThrough();
    const config = buffer(content);
    // What breaks is told by the copy.
    config.catch(() => undefined);
    await cache.copyTo(blob, content, { signal });
    return config;
  }

  async #send(parts: ImageParts): Promise<void> {
    const { docker, store, cache, signal } = this.#options;
    const idle = new IdleLimit(loadIdleMs);
    const broken = new AbortController();
    const either = AbortSignal.any([signal, idle.signal, broken.signal]);
    const archive = pack();
    // Who reads it hears of its end by the signal.
    archive.on("error", () => undefined);
    // The index comes last: a daemon loads nothing of an archive that breaks off.
    const onBytes = () => idle.moved();
    const written = writeImageArchive(archive, parts, { store, cache, signal: either, onBytes }).then(
      () => undefined,
      (error: unknown) => {
        broken.abort(error);
        return error;
      },
    );
    try {
      const loading = docker.loadImage(archive as unknown as Readable, { abortSignal: either });
      await readDaemonProgress(loading, either, onBytes);
    } catch (error) {
      archive.destroy();
      const cause = await written;
      throw cause instanceof BlobDamaged ? cause : error;
    } finally {
      idle.close();
      archive.destroy();
    }
  }

  /** A classic store finds it by its digest. A containerd store has its own, but the same layers. */
  async #verify(layers: readonly string[]): Promise<void> {
    const { docker, store } = this.#options;
    const name = store === "classic" ? this.#imageId : shippedTag(this.#imageId);
    const { RootFS } = await withDeadline(
      docker.getImage(name).inspect(),
      callDeadlineMs,
      "the inspection of an image",
    );
    if ((RootFS.Layers ?? []).join() !== layers.join()) throw new Error("Docker has loaded something else");
  }
}

function readLayers(config: Buffer): string[] {
  const parsed = configSchema.safeParse(JSON.parse(config.toString("utf8")));
  if (!parsed.success) throw new BlobUnavailable("its configuration names no layers");
  return parsed.data.rootfs.diff_ids;
}

/** How many of the lowest layers stand, in this order, at the bottom of an image that the daemon has. */
async function countKnownLayers(docker: DockerClient, layers: readonly string[]): Promise<number> {
  const limit = pLimit(parallelInspections);
  const images = await withDeadline(docker.listImages({ all: true }), callDeadlineMs, "listing images");
  const counts = await Promise.all(
    images.map(({ Id }) =>
      limit(async () => {
        const inspection = docker.getImage(Id).inspect();
        const { RootFS } = await withDeadline(inspection, callDeadlineMs, "the inspection of an image");
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
