import { createHash } from "node:crypto";
import { EcrRefusal } from "../../../shared/clients/ecr.ts";
import { reasonFor } from "../../../shared/domain/reason.ts";
import type { Logger } from "../../../shared/log.ts";
import { IdleLimit } from "../../idle-limit.ts";
import type { BlobCache } from "../../images/blob-cache.ts";
import { BlobDamaged, isDiskFull, shortenDigest } from "../../images/blob-content.ts";
import { BlobUnavailable } from "../../images/fetch-blob.ts";
import type { ImageLedger } from "../../images/image-ledger.ts";
import { SharedWork } from "../../images/shared-work.ts";
import { messageOf, retryWithBackoff, withDeadline } from "../../retry.ts";
import type { EcrLogin, RoleSignIn } from "../ecr-login.ts";
import { StepFault } from "../executor.ts";
import type { RegistryCredentials } from "../registry-auth.ts";
import { readDaemonProgress } from "./daemon-progress.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";
import {
  classifyImageFault,
  explainPullFault,
  type ImageFaultKind,
  isImageRefusal,
  type SignIn,
} from "./image-faults.ts";
import type { ImagePruner } from "./image-pruner.ts";
import { type ImageStoreKind, inspectDaemon, shippedTag } from "./image-store.ts";
import { type BlobLinks, ShippedImage } from "./shipped-image.ts";

const pullRetries = 3;
const loadRetries = 2;
const defaultFirstRetryMs = 1_000;
/** A daemon that tells nothing of a pull for so long is asked again. */
const pullIdleMs = 60_000;
const callDeadlineMs = 60_000;

/** An image as a job names it: a reference, or the digest of the configuration of one that was shipped. */
export interface ImageName {
  image: string;
  shipped: boolean;
}

export interface ImageLoaderOptions {
  docker: DockerClient;
  store: ImageStoreKind;
  cache: BlobCache;
  ledger: ImageLedger;
  pruner: ImagePruner;
  /** Signs in to the registries of AWS as the worker; absent where workers have no role. */
  ecr?: EcrLogin | undefined;
  firstRetryMs?: number;
  log: Logger;
}

/** Brings images to the daemon; tasks that need the same one wait for one transfer. */
export class ImageLoader {
  readonly #options: ImageLoaderOptions;
  readonly #transfers = new SharedWork<void>();
  #store: ImageStoreKind;

  constructor(options: ImageLoaderOptions) {
    this.#options = options;
    this.#store = options.store;
  }

  /** What the daemon calls an image. */
  nameOf({ image, shipped }: ImageName): string {
    return shipped && this.#store === "containerd" ? shippedTag(image) : image;
  }

  /** Keeps an image from being pruned, also one that is yet to come, until the answered function is called. */
  hold(name: ImageName): () => void {
    const { ledger, log } = this.#options;
    const recordName = recordNameOf(name);
    ledger
      .touch(recordName)
      .catch((error: unknown) => log.warn({ image: recordName, reason: messageOf(error) }, "an image was not marked"));
    return ledger.hold(recordName);
  }

  /** Whether the daemon has an image. */
  async isThere(name: ImageName): Promise<boolean> {
    const inspection = this.#options.docker.getImage(this.nameOf(name)).inspect();
    try {
      await withDeadline(inspection, callDeadlineMs, "the inspection of an image");
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  /** Pulls an image by its reference. Throws a `StepFault` that names what went wrong, with the registry's words. */
  pull(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    const { ecr, log } = this.#options;
    const role = credentials === undefined ? ecr?.forImage(reference) : undefined;
    const signIn: SignIn = credentials !== undefined ? "secret" : role !== undefined ? "role" : "none";
    // Whoever signs in as somebody else must not get what the other one is given, nor fail for what he is refused.
    const identity = createHash("sha256")
      .update(JSON.stringify(credentials ?? null))
      .digest("hex");
    return this.#transfers.join(`${reference} ${identity}`, signal, async (shared) => {
      log.info({ image: reference, signIn }, "pulling an image");
      const kindOf = (error: unknown) => kindOfPullFault(error, reference);
      const pull = () =>
        role === undefined ? this.#pullOnce(reference, credentials, shared) : this.#pullAsRole(reference, role, shared);
      try {
        await this.#retry(pull, { what: reference, retries: pullRetries, signal: shared, kindOf });
        await this.#note({ image: reference, shipped: false });
      } catch (error) {
        shared.throwIfAborted();
        const fault = { kind: kindOf(error), message: dockerMessage(error), signIn };
        throw new StepFault(explainPullFault(reference, fault), error);
      }
    });
  }

  /** Loads a shipped image from its blobs and checks that it is the one that was asked for. */
  load(imageId: string, links: BlobLinks, signal: AbortSignal): Promise<void> {
    const { docker, cache, ledger, log } = this.#options;
    return this.#transfers.join(imageId, signal, async (shared) => {
      log.info({ image: imageId }, "loading a shipped image");
      try {
        // Known before it is there: what a worker that dies on the way has loaded can still be removed.
        await ledger.add({ name: shippedTag(imageId), imageId: "", bytes: 0 });
        // The daemon may have come back as another one.
        this.#store = (await inspectDaemon(docker)).store;
        const image = new ShippedImage(imageId, { docker, store: this.#store, cache, links, signal: shared });
        let tries = 0;
        // A layer that the daemon had may have been removed meanwhile: with all of them it does not matter.
        const loadOnce = () => image.load({ knownLayersToo: tries++ > 0 });
        await this.#retry(loadOnce, { what: imageId, retries: loadRetries, signal: shared, kindOf: kindOfLoadFault });
        await this.#note({ image: imageId, shipped: true });
      } catch (error) {
        shared.throwIfAborted();
        throw explainLoadFault(imageId, error);
      }
    });
  }

  /** Tries again what may pass; on a full disk only where there was something to remove. */
  async #retry(
    work: () => Promise<void>,
    options: { what: string; retries: number; signal: AbortSignal; kindOf: (error: unknown) => ImageFaultKind },
  ): Promise<void> {
    const { what, retries, signal, kindOf } = options;
    const { log, pruner } = this.#options;
    let madeRoom = false;
    const workOrFree = async () => {
      try {
        await work();
      } catch (error) {
        if (kindOf(error) === "disk_full" && !signal.aborted) madeRoom = (await pruner.free()) > 0;
        throw error;
      }
    };
    await retryWithBackoff(workOrFree, {
      signal,
      retries,
      firstDelayMs: this.#options.firstRetryMs ?? defaultFirstRetryMs,
      isRetryable: (error) => {
        const kind = kindOf(error);
        return kind === "disk_full" ? madeRoom : !isImageRefusal(kind);
      },
      onFailure: (error) => log.warn({ image: what, reason: dockerMessage(error) }, "an image was not brought"),
    });
  }

  /** Makes the image one that workers brought, and looks whether others have to go for it. */
  async #note(name: ImageName): Promise<void> {
    const { docker, ledger, pruner } = this.#options;
    const recordName = recordNameOf(name);
    const inspection = docker.getImage(recordName).inspect();
    const { Id, Size } = await withDeadline(inspection, callDeadlineMs, "the inspection of an image");
    await ledger.add({ name: recordName, imageId: Id, bytes: Size });
    pruner.pruneSoon();
  }

  async #pullAsRole(reference: string, role: RoleSignIn, signal: AbortSignal): Promise<void> {
    const pull = async () => this.#pullOnce(reference, await role.getCredentials(signal), signal);
    try {
      await pull();
    } catch (error) {
      if (error instanceof EcrRefusal || kindOfPullFault(error, reference) !== "denied") throw error;
      // The token may have ended before its time.
      role.forget();
      await pull();
    }
  }

  async #pullOnce(reference: string, credentials: RegistryCredentials | undefined, signal: AbortSignal): Promise<void> {
    const idle = new IdleLimit(pullIdleMs);
    const either = AbortSignal.any([signal, idle.signal]);
    const pulling = this.#options.docker.pull(reference, {
      abortSignal: either,
      ...(credentials === undefined ? {} : { authconfig: credentials }),
    });
    try {
      await readDaemonProgress(pulling, either, () => idle.moved());
    } finally {
      idle.close();
    }
  }
}

/** How an image is called in the ledger: the name by which it can be removed again, whatever else it is called. */
function recordNameOf({ image, shipped }: ImageName): string {
  return shipped ? shippedTag(image) : image;
}

function kindOfPullFault(error: unknown, reference: string): ImageFaultKind {
  return error instanceof EcrRefusal ? "denied" : classifyImageFault(dockerMessage(error), reference);
}

function kindOfLoadFault(error: unknown): ImageFaultKind {
  if (isDiskFull(error)) return "disk_full";
  // What these say is of our own making.
  if (error instanceof BlobUnavailable) return "not_found";
  if (error instanceof BlobDamaged) return "other";
  return classifyImageFault(dockerMessage(error)) === "disk_full" ? "disk_full" : "other";
}

function explainLoadFault(imageId: string, error: unknown): StepFault {
  const image = `image ${shortenDigest(imageId)}`;
  const said = dockerMessage(error);
  const detail =
    kindOfLoadFault(error) === "disk_full"
      ? `the worker's disk is full: ${image} does not fit (${said})`
      : `${image} could not be loaded: ${said}`;
  return new StepFault(reasonFor("image_unavailable", detail), error);
}
