import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pLimit from "p-limit";
import type { ApiClient } from "../../shared/api-client/index.ts";
import type { BuiltImage } from "../../shared/jobfile/resolve.ts";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { formatBytes, formatDuration } from "../terminal/format.ts";
import { putFile } from "../transfer/put-file.ts";
import { openDocker, runDocker } from "./docker.ts";
import { createProgress, type Progress } from "./progress.ts";
import { type SavedBlob, splitSavedImage } from "./saved-image.ts";

/** Uploads are tried this often, each time with a fresh link. */
const uploadTries = 3;
const parallelUploads = 3;

/**
 * Brings a local image to the control plane by content: its configuration and its layers are blobs, and only those that
 * the bucket lacks are sent. What was sent before an interruption is not sent again. Tells the id that the image has
 * everywhere.
 */
export async function shipImage(
  context: Context,
  api: ApiClient,
  localId: string,
  signal: AbortSignal,
): Promise<BuiltImage> {
  const layers = await listLayers(localId, signal);
  const { missing } = await api.requestImage([localId, ...layers], { signal });
  if (missing.length === 0) return { imageId: localId, layers };
  const scratch = await mkdtemp(join(tmpdir(), "sluice-image-"));
  const progress = createProgress(context, "shipping the image");
  try {
    const shipment = new Shipment(api, new Set(missing.map(({ digest }) => digest)), progress, signal);
    const imageId = await shipment.send(localId, scratch);
    progress.end(
      `shipped ${formatBytes(shipment.sentBytes)} of the image in ${formatDuration(progress.elapsedMs())}, ` +
        `${layers.length - shipment.sentLayers(layers)} of ${layers.length} layers were there`,
    );
    return { imageId, layers };
  } catch (error) {
    progress.end();
    throw explainFullDisk(error, scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Digests of the uncompressed layers, the lowest first: the same in every version of Docker. */
async function listLayers(localId: string, signal: AbortSignal): Promise<string[]> {
  const said: string[] = [];
  const args = ["image", "inspect", "--format", "{{json .RootFS.Layers}}", localId];
  const { exitCode } = await runDocker(args, { folder: tmpdir(), signal, onLine: (line) => said.push(line) });
  const text = said.find((line) => /^(\[|null$)/.test(line));
  if (exitCode === 0 && text !== undefined) return (JSON.parse(text) as string[] | null) ?? [];
  throw new CliError(exitCodes.usage, "docker does not tell the layers of the image it built", { details: said });
}

/** One image on its way. */
class Shipment {
  readonly #api: ApiClient;
  readonly #missing: ReadonlySet<string>;
  readonly #progress: Progress;
  readonly #signal: AbortSignal;
  readonly #sent = new Set<string>();
  sentBytes = 0;

  constructor(api: ApiClient, missing: ReadonlySet<string>, progress: Progress, signal: AbortSignal) {
    this.#api = api;
    this.#missing = missing;
    this.#progress = progress;
    this.#signal = signal;
  }

  sentLayers(layers: readonly string[]): number {
    return layers.filter((digest) => this.#sent.has(digest)).length;
  }

  /** Uploads blobs while Docker still writes the next ones. */
  async send(localId: string, scratch: string): Promise<string> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.#signal, failed.signal]);
    const { stdout, ended } = openDocker(["save", localId], { folder: scratch, signal });
    const limit = pLimit(parallelUploads);
    const kept = new Map<string, SavedBlob>();
    const uploads: Promise<void>[] = [];
    const splitting = splitSavedImage(
      stdout,
      scratch,
      async (blob) => {
        if (this.#missing.has(blob.digest)) {
          const upload = limit(() => this.#upload(blob, signal));
          upload.catch((error: unknown) => failed.abort(error));
          uploads.push(upload);
        } else if (blob.bytes > maxConfigBytes) await rm(blob.file, { force: true });
        else kept.set(blob.digest, blob);
      },
      signal,
    );
    // Docker's own complaint says more than the broken pipe that follows from it.
    const [saved, split] = await Promise.allSettled([ended, splitting]);
    await Promise.all(uploads);
    if (saved.status === "rejected") throw saved.reason;
    if (split.status === "rejected") throw split.reason;
    const { imageId } = split.value;
    const config = kept.get(imageId);
    // Stores of newer versions call an image by another digest than that of its configuration.
    if (imageId !== localId && config !== undefined) await this.#upload(config, this.#signal);
    return imageId;
  }

  async #upload(blob: SavedBlob, signal: AbortSignal): Promise<void> {
    for (let tried = 1; ; tried++) {
      const { missing } = await this.#api.requestImage([blob.digest], { signal });
      const [place] = missing;
      // Somebody else may have shipped the same blob meanwhile.
      if (place === undefined) return;
      const before = this.sentBytes;
      const put = await putFile({
        url: place.uploadUrl,
        file: blob.file,
        size: blob.bytes,
        signal,
        onProgress: (sent) => this.#progress.showLine(`sent ${formatBytes(before + sent)}`),
      });
      if (put.ok) {
        this.sentBytes += blob.bytes;
        this.#sent.add(blob.digest);
        return;
      }
      if (tried >= uploadTries) {
        const message = `the image could not be uploaded: ${put.message}; try again, what was sent is kept`;
        throw new CliError(exitCodes.unreachable, message);
      }
    }
  }
}

/** Configurations have some kilobytes; larger blobs are layers. */
const maxConfigBytes = 1024 * 1024;

function explainFullDisk(error: unknown, folder: string): unknown {
  const isFull = error instanceof Error && "code" in error && error.code === "ENOSPC";
  if (!isFull) return error;
  const message = `the disk is full: packing the image needs room in ${folder}; free some, or set TMPDIR`;
  return new CliError(exitCodes.failed, message, { cause: error });
}
