import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import { retryWithBackoff } from "../../retry.ts";
import { StepFault } from "../executor.ts";
import type { RegistryCredentials } from "../registry-auth.ts";
import { type DockerClient, dockerMessage } from "./docker-client.ts";
import { classifyImageFault, explainPullFault, isImageRefusal } from "./image-faults.ts";
import { SharedWork } from "./shared-work.ts";
import { type BlobLinks, BlobUnavailable, ShippedImage } from "./shipped-image.ts";

const pullRetries = 3;
/** A registry or a bucket that sends nothing for this long is tried again. */
const idleMs = 60_000;

/** Brings images to the daemon; tasks that need the same one wait for one transfer. */
export class ImageLoader {
  readonly #docker: DockerClient;
  readonly #scratchFolder: string;
  readonly #log: Logger;
  readonly #transfers = new SharedWork<void>();

  /** Layers on their way to the daemon are kept below the scratch folder. */
  constructor(docker: DockerClient, scratchFolder: string, log: Logger) {
    this.#docker = docker;
    this.#scratchFolder = scratchFolder;
    this.#log = log;
  }

  /** Pulls an image by its reference. Throws a `StepFault` that names what went wrong, with the registry's words. */
  pull(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    // Whoever signs in as somebody else must not get what the other one is given, nor fail for what he is refused.
    const identity = createHash("sha256")
      .update(JSON.stringify(credentials ?? null))
      .digest("hex");
    return this.#transfers.join(`${reference} ${identity}`, signal, async (shared) => {
      this.#log.info({ image: reference }, "pulling an image");
      try {
        await retryWithBackoff(() => this.#pullOnce(reference, credentials, shared), {
          signal: shared,
          retries: pullRetries,
          firstDelayMs: 1_000,
          isRetryable: (error) => !isImageRefusal(classifyImageFault(dockerMessage(error))),
          onFailure: (error) => this.#log.warn({ image: reference, reason: dockerMessage(error) }, "a pull failed"),
        });
      } catch (error) {
        shared.throwIfAborted();
        throw new StepFault(explainPullFault(reference, dockerMessage(error), credentials !== undefined), error);
      }
    });
  }

  /** Loads a shipped image from its blobs and checks that it is the one that was asked for. */
  load(imageId: string, links: BlobLinks, signal: AbortSignal): Promise<void> {
    return this.#transfers.join(imageId, signal, async (shared) => {
      this.#log.info({ image: imageId }, "loading a shipped image");
      try {
        await this.#loadParts(imageId, links, shared);
        await this.#docker.getImage(imageId).inspect();
      } catch (error) {
        shared.throwIfAborted();
        throw imageFault(`image ${imageId.slice(0, 19)} could not be loaded: ${dockerMessage(error)}`, error);
      }
    });
  }

  async #loadParts(imageId: string, links: BlobLinks, signal: AbortSignal): Promise<void> {
    const image = new ShippedImage(this.#docker, links, signal);
    const load = (knownLayersToo: boolean) =>
      image.withArchive(imageId, this.#scratchFolder, { knownLayersToo }, async (archive) => {
        const progress = await this.#docker.loadImage(archive, { quiet: true, abortSignal: signal });
        await readProgress(progress as Readable, signal);
      });
    try {
      await load(false);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BlobUnavailable) throw error;
      // A layer that the daemon had may have been removed meanwhile: with all of them it does not matter.
      this.#log.warn(
        { image: imageId, reason: dockerMessage(error) },
        "an image was not loaded; trying all its layers",
      );
      await load(true);
    }
  }

  async #pullOnce(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    const progress = await this.#docker.pull(reference, {
      abortSignal: signal,
      ...(credentials === undefined ? {} : { authconfig: credentials }),
    });
    await readProgress(progress as Readable, signal);
  }
}

function imageFault(detail: string, cause?: unknown): StepFault {
  return new StepFault(reasonFor("image_unavailable", detail), cause);
}

/** Reads the daemon's progress to its end. An error there comes after the status 200: the daemon has long answered. */
async function readProgress(progress: Readable, signal: AbortSignal): Promise<void> {
  const stop = () => progress.destroy(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  const idle = setTimeout(() => progress.destroy(new Error(`nothing came for ${idleMs / 1000} s`)), idleMs);
  try {
    let rest = "";
    for await (const piece of progress as AsyncIterable<Buffer>) {
      idle.refresh();
      const lines = (rest + piece.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      lines.forEach(throwReportedError);
    }
    throwReportedError(rest);
  } finally {
    clearTimeout(idle);
    signal.removeEventListener("abort", stop);
  }
}

function throwReportedError(line: string): void {
  const error = /"error"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
  if (error !== undefined) throw new Error(String(JSON.parse(error)));
}
