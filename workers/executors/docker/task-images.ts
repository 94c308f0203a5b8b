import type { Logger } from "../../../shared/log.ts";
import type { TaskContext } from "../executor.ts";
import { findCredentials } from "../registry-auth.ts";
import { dockerMessage } from "./docker-client.ts";
import type { ImageLoader, ImageName } from "./images.ts";

/** The images of one attempt: brought where Docker misses them, and not pruned as long as it runs. */
export class TaskImages {
  readonly #task: TaskContext;
  readonly #options: { images: () => ImageLoader | undefined; log: Logger };
  /** Those that are held, by name. */
  readonly #holds = new Map<string, () => void>();
  #bringsAhead = false;

  /** `images` answers undefined as long as there is no connection to Docker. */
  constructor(task: TaskContext, options: { images: () => ImageLoader | undefined; log: Logger }) {
    this.#task = task;
    this.#options = options;
  }

  /** Keeps an image from being pruned. */
  hold(name: ImageName): void {
    const images = this.#options.images();
    if (images === undefined || this.#holds.has(name.image)) return;
    this.#holds.set(name.image, images.hold(name));
  }

  /** Lets go of all that are held. */
  release(): void {
    for (const release of this.#holds.values()) release();
  }

  /**
   * The images of the steps to come, while the first one runs: the links to their blobs end before a long step does, and
   * the next container is made sooner.
   */
  bringAhead(signal: AbortSignal): void {
    if (this.#bringsAhead) return;
    this.#bringsAhead = true;
    for (const image of this.#task.shippedImages) {
      const name = { image, shipped: true };
      if (this.#holds.has(image)) continue;
      this.hold(name);
      this.#bringMissing(name, signal).catch((error: unknown) => {
        // The step that needs it tries again, and tells.
        this.#options.log.debug({ image, reason: dockerMessage(error) }, "an image was not brought ahead");
      });
    }
  }

  /** Brings an image into Docker; throws what keeps it away. */
  bring({ image, shipped }: ImageName, signal: AbortSignal): Promise<void> {
    const images = this.#options.images();
    if (images === undefined) throw new Error("there is no connection to Docker");
    if (shipped) return images.load(image, this.#task.images, signal);
    const { registryAuth } = this.#task;
    return images.pull(image, registryAuth && findCredentials(registryAuth, image), signal);
  }

  async #bringMissing(name: ImageName, signal: AbortSignal): Promise<void> {
    if (!(await this.#options.images()?.isThere(name))) await this.bring(name, signal);
  }
}
