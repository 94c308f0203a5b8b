import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import pLimit from "p-limit";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { formatBytes, formatDuration } from "../../shared/domain/format.ts";
import type { BuiltImage } from "../../shared/jobfile/resolve.ts";
import { CliError, exitCodes } from "../errors.ts";
import { type BlobProgress, uploadBlob } from "../transfer/upload-blob.ts";
import { openDocker, runDocker } from "./docker.ts";
import type { Progress, ProgressBoard } from "./progress.ts";
import { type SavedBlob, splitSavedImage } from "./saved-image.ts";
import { makeScratch } from "./scratch.ts";

const parallelImages = 2;
const parallelBlobs = 4;
/** Pieces of blobs on their way at the same moment, over all images. */
const parallelTransfers = 4;

/** Brings local images to the control plane. */
export interface ImageShipper {
  /**
   * Brings an image there by content: its configuration and its layers are blobs, and only those that the bucket lacks
   * are sent. What was sent before an interruption is not sent again. Tells the id that the image has everywhere.
   */
  ship(localId: string, name: string): Promise<BuiltImage>;
}

/** What a shipper works with. */
export interface ShipperDeps {
  api: ApiClient;
  board: ProgressBoard;
  signal: AbortSignal;
}

/** Creates the shipper of one command: however many images it ships, so many transfers run at once. */
export function createImageShipper({ api, board, signal }: ShipperDeps): ImageShipper {
  const images = pLimit(parallelImages);
  const blobs = pLimit(parallelBlobs);
  const transfers = pLimit(parallelTransfers);
  const shipped = new Map<string, Promise<BuiltImage>>();
  const ship = async (localId: string, name: string): Promise<BuiltImage> => {
    const { layers, isIdOfConfig } = await describeImage(localId, signal);
    const digests = [...(isIdOfConfig ? [localId] : []), ...layers];
    const missing = new Set<string>();
    if (digests.length > 0) {
      const answer = await api.findMissingBlobs(digests, { signal });
      for (const { digest } of answer.missing) missing.add(digest);
    }
    if (isIdOfConfig && missing.size === 0) return { imageId: localId, layers };
    const scratch = await makeScratch(tmpdir(), "image");
    const progress = board.start(`shipping ${name}`, { saysMuch: false });
    try {
      const shipment = new Shipment({ api, missing, progress, signal, blobs, transfers });
      const imageId = await shipment.send(localId, layers, scratch);
      const { sentBytes, resumedBytes } = shipment.sum();
      const resumed = resumedBytes > 0 ? `, ${formatBytes(resumedBytes)} had arrived before` : "";
      progress.end(
        `shipped ${name} in ${formatDuration(progress.elapsedMs())}: ${formatBytes(sentBytes)} sent${resumed}; ` +
          `${layers.filter((digest) => !missing.has(digest)).length} of ${layers.length} layers were there`,
      );
      return { imageId, layers };
    } catch (error) {
      throw explainFullDisk(error, scratch);
    } finally {
      progress.end();
      await rm(scratch, { recursive: true, force: true });
    }
  };
  return {
    ship: (localId, name) => {
      // Builds that differ may lead to the same image.
      const known = shipped.get(localId) ?? images(() => ship(localId, name));
      shipped.set(localId, known);
      return known;
    },
  };
}

/**
 * Digests of the uncompressed layers, the lowest first: the same in every version of Docker. With the containerd image
 * store an image's id is not the digest of its configuration; that store tells a descriptor of what the id is of.
 */
async function describeImage(
  localId: string,
  signal: AbortSignal,
): Promise<{ layers: string[]; isIdOfConfig: boolean }> {
  const said: string[] = [];
  const args = ["image", "inspect", "--format", "{{json .}}", localId];
  const { exitCode } = await runDocker(args, { folder: tmpdir(), signal, onLine: (line) => said.push(line) });
  const text = said.find((line) => line.startsWith("{"));
  if (exitCode !== 0 || text === undefined) {
    const message = "docker does not tell the layers of the image it built; was it kept by the builder (--load)?";
    throw new CliError(exitCodes.usage, message, { details: said });
  }
  const image = JSON.parse(text) as { RootFS?: { Layers?: string[] | null }; Descriptor?: unknown };
  return { layers: image.RootFS?.Layers ?? [], isIdOfConfig: (image.Descriptor ?? null) === null };
}

interface ShipmentDeps extends Omit<ShipperDeps, "board"> {
  missing: ReadonlySet<string>;
  progress: Progress;
  blobs: ReturnType<typeof pLimit>;
  transfers: ReturnType<typeof pLimit>;
}

/** One image on its way. */
class Shipment {
  readonly #deps: ShipmentDeps;
  /** Of each blob that is uploaded: its size, and how far it is. */
  readonly #uploads = new Map<string, { bytes: number; progress: BlobProgress }>();

  constructor(deps: ShipmentDeps) {
    this.#deps = deps;
  }

  /** Bytes that were sent, and those that needed not to be, because they had arrived before. */
  sum(): { sentBytes: number; resumedBytes: number } {
    const all = [...this.#uploads.values()];
    const sentBytes = all.reduce((sum, { progress }) => sum + progress.sentBytes, 0);
    const arrivedBytes = all.reduce((sum, { progress }) => sum + progress.arrivedBytes, 0);
    return { sentBytes, resumedBytes: Math.max(0, arrivedBytes - sentBytes) };
  }

  /** Uploads blobs while Docker still writes the next ones. */
  async send(localId: string, layers: readonly string[], scratch: string): Promise<string> {
    const { missing, blobs } = this.#deps;
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#deps.signal, failed.signal]);
    const { stdout, ended } = openDocker(["save", localId], { folder: scratch, signal });
    const uploads = new Map<string, Promise<void>>();
    const splitting = splitSavedImage(
      stdout,
      {
        folder: scratch,
        // A layer that is there is only read past; a configuration is always of use.
        wants: (digest) => !layers.includes(digest) || missing.has(digest),
        takeBlob: async (blob) => {
          const { digest, file } = blob;
          if (missing.has(digest) && !uploads.has(digest)) {
            const upload = blobs(() => this.#upload(blob, signal));
            upload.catch((error: unknown) => failed.abort(error));
            uploads.set(digest, upload);
          } else if (layers.includes(digest)) await rm(file, { force: true });
        },
      },
      signal,
    );
    // Docker's own complaint says more than the broken pipe that follows from it.
    const [saved, split] = await Promise.allSettled([ended, splitting]);
    if (saved.status === "rejected") failed.abort(saved.reason);
    if (split.status === "rejected") failed.abort(split.reason);
    await Promise.allSettled(uploads.values());
    signal.throwIfAborted();
    if (split.status === "rejected") throw split.reason;
    const lost = [...missing].find((digest) => !uploads.has(digest));
    if (lost !== undefined) throw new Error(`docker save did not write ${lost}, which is part of the image`);
    const { config } = split.value;
    // Where the image's id is another, nobody could ask for its configuration before.
    if (config.digest !== localId) await this.#upload(config, signal);
    return config.digest;
  }

  async #upload(blob: SavedBlob, signal: AbortSignal): Promise<void> {
    const { api, transfers } = this.#deps;
    const state = { bytes: blob.bytes, progress: { arrivedBytes: 0, sentBytes: 0 } };
    this.#uploads.set(blob.digest, state);
    const onProgress = (progress: BlobProgress): void => {
      state.progress = { ...progress };
      this.#show();
    };
    onProgress(await uploadBlob(api, { ...blob, signal, transfers, onProgress }));
    await rm(blob.file, { force: true });
  }

  #show(): void {
    const all = [...this.#uploads.values()];
    const arrived = all.reduce((sum, { progress }) => sum + progress.arrivedBytes, 0);
    const packed = all.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#deps.progress.showLine(`${formatBytes(arrived)} of ${formatBytes(packed)}`);
  }
}

function explainFullDisk(error: unknown, folder: string): unknown {
  const isFull = error instanceof Error && "code" in error && error.code === "ENOSPC";
  if (!isFull) return error;
  const message = `the disk is full: packing the image needs room in ${folder}; free some, or set TMPDIR`;
  return new CliError(exitCodes.failed, message, { cause: error });
}
