import type { Logger } from "../../../shared/log.ts";
import type { BlobCache } from "../../images/blob-cache.ts";
import { type CacheItem, type CacheLimits, listExpired } from "../../images/expiry.ts";
import type { ImageLedger, ImageRecord } from "../../images/image-ledger.ts";
import { settlesWithin, withDeadline } from "../../retry.ts";
import { type DockerClient, dockerMessage, statusOf } from "./docker-client.ts";

const callDeadlineMs = 60_000;
const removeDeadlineMs = 5 * 60_000;
const closeDeadlineMs = 2_000;
/** Often enough within `minIdleMs` that no other worker takes away what a task here needs. */
const intervalMs = 5 * 60_000;

export interface ImagePrunerOptions {
  docker: DockerClient;
  cache: BlobCache;
  ledger: ImageLedger;
  limits: CacheLimits;
  log: Logger;
}

/** Removes images that workers brought, and their blobs, when they are old or too many; never what a task needs. */
export class ImagePruner {
  readonly #options: ImagePrunerOptions;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<unknown> = Promise.resolve();
  #isClosing = false;

  constructor(options: ImagePrunerOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.pruneSoon(), intervalMs).unref();
  }

  /** Prunes without being waited for; a failure is only logged. */
  pruneSoon(): void {
    this.prune().catch((error: unknown) => this.#options.log.error({ err: error }, "images could not be pruned"));
  }

  /** Removes what is beyond the limits, and tells how many bytes that were. */
  prune(limits = this.#options.limits): Promise<number> {
    const run = this.#running.then(() => this.#pruneOnce(limits));
    this.#running = run.catch(() => undefined);
    return run;
  }

  /** Removes everything that no task needs, because the disk is full; tells how many bytes that were. */
  free(): Promise<number> {
    return this.prune({ ...this.#options.limits, maxBytes: 0 });
  }

  /** Ends the pruning, after the image that is being removed; but nobody's drain waits long for that. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#timer);
    await settlesWithin(this.#running, closeDeadlineMs);
  }

  async #pruneOnce(limits: CacheLimits): Promise<number> {
    const { cache, ledger, log } = this.#options;
    await ledger.touchHeld();
    const records = await ledger.list();
    const images = records.map((record): CacheItem & ImageRecord => ({
      ...record,
      what: record.name,
      remove: () => this.#removeImage(record),
    }));
    let freed = 0;
    for (const item of listExpired([...images, ...(await cache.list())], limits, Date.now())) {
      if (this.#isClosing) break;
      if (!(await item.remove())) continue;
      freed += item.bytes;
      log.info({ what: item.what, bytes: item.bytes }, "removed an image or a part of one that nobody used");
    }
    return freed;
  }

  /** By its name only: whoever gave the image another name keeps it. */
  async #removeImage({ name, imageId }: ImageRecord): Promise<boolean> {
    const { docker, ledger, log } = this.#options;
    // A task may have come meanwhile.
    if (ledger.isHeld(name)) return false;
    const image = docker.getImage(name);
    try {
      const { Id } = await withDeadline(image.inspect(), callDeadlineMs, "the inspection of an image");
      // Without an id its worker died over it: such a name is one that only workers give.
      const isOurs = imageId === "" || Id === imageId;
      if (isOurs) await withDeadline(image.remove(), removeDeadlineMs, "the removal of an image");
      await ledger.forget(name);
      return isOurs;
    } catch (error) {
      // 409: a container uses it.
      if (statusOf(error) === 409) return false;
      if (statusOf(error) === 404) await ledger.forget(name);
      else log.warn({ image: name, reason: dockerMessage(error) }, "an image could not be removed");
      return false;
    }
  }
}
