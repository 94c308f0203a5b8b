import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { createZstdDecompress } from "node:zlib";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import { messageOf, retryWithBackoff } from "../../retry.ts";
import { StepFault } from "../executor.ts";
import type { RegistryCredentials } from "../registry-auth.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";
import { classifyImageFault, explainPullFault, isImageRefusal } from "./image-faults.ts";
import { SharedWork } from "./shared-work.ts";

const pullRetries = 3;
const loadRetries = 2;
/** A registry or a bucket that sends nothing for this long is tried again. */
const idleMs = 60_000;

/** Brings images to the daemon; tasks that need the same one wait for one transfer. */
export class ImageLoader {
  readonly #docker: DockerClient;
  readonly #log: Logger;
  readonly #transfers = new SharedWork<void>();

  constructor(docker: DockerClient, log: Logger) {
    this.#docker = docker;
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

  /** Loads a shipped image from its archive and checks that it is the one that was asked for. */
  load(imageId: string, archiveUrl: string | undefined, signal: AbortSignal): Promise<void> {
    const short = imageId.slice(0, 19);
    if (archiveUrl === undefined) {
      return Promise.reject(imageFault(`image ${short} was not shipped with the job: submit the job again`));
    }
    return this.#transfers.join(imageId, signal, async (shared) => {
      this.#log.info({ image: imageId }, "loading a shipped image");
      try {
        await retryWithBackoff(() => this.#loadOnce(archiveUrl, shared), {
          signal: shared,
          retries: loadRetries,
          firstDelayMs: 1_000,
          isRetryable: (error) => !isRefusal(error),
        });
        await this.#docker.getImage(imageId).inspect();
      } catch (error) {
        shared.throwIfAborted();
        if (statusOf(error) === 404) throw imageFault(`the archive of image ${short} does not hold that image`, error);
        throw imageFault(`image ${short} could not be loaded: ${dockerMessage(error)}`, error);
      }
    });
  }

  async #pullOnce(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    const progress = await this.#docker.pull(reference, {
      abortSignal: signal,
      ...(credentials === undefined ? {} : { authconfig: credentials }),
    });
    await readProgress(progress as Readable, signal);
  }

  async #loadOnce(archiveUrl: string, signal: AbortSignal): Promise<void> {
    const answer = await fetch(archiveUrl, { signal });
    if (!answer.ok || answer.body === null) throw new ArchiveRefused(answer.status);
    const archive = createZstdDecompress();
    const download = pipeline(Readable.fromWeb(answer.body as ReadableStream), archive, { signal });
    // The end of the load tells of a broken download too; here it must only not go unheard.
    download.catch((error: unknown) => archive.destroy(error as Error));
    const progress = await this.#docker.loadImage(archive, { quiet: true, abortSignal: signal });
    await readProgress(progress as Readable, signal);
    await download;
  }
}

class ArchiveRefused extends Error {
  readonly statusCode: number;

  constructor(status: number) {
    super(`its archive was answered with HTTP status ${status}`);
    this.statusCode = status;
  }
}

/** Tells whether the answer is a decision, which would be the same the next time. */
function isRefusal(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined && status >= 400 && status < 500 && status !== 408 && status !== 429) return true;
  return isImageRefusal(classifyImageFault(messageOf(error)));
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
