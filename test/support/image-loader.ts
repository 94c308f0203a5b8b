import { join } from "node:path";
import { createLogger } from "../../shared/log.ts";
import type { DockerClient } from "../../workers/executors/docker/docker-client.ts";
import type { ImageSettings } from "../../workers/executors/docker/docker-executor.ts";
import { ImagePruner } from "../../workers/executors/docker/image-pruner.ts";
import { inspectDaemon } from "../../workers/executors/docker/image-store.ts";
import { ImageLoader } from "../../workers/executors/docker/images.ts";
import type { EcrLogin } from "../../workers/executors/ecr-login.ts";
import { BlobCache } from "../../workers/images/blob-cache.ts";
import type { CacheLimits } from "../../workers/images/expiry.ts";
import { ImageLedger } from "../../workers/images/image-ledger.ts";

/** Tests do not wait for what is not there. */
const firstRetryMs = 20;

/** Nothing is ever too old or too much. */
export const roomy: CacheLimits = { maxBytes: 1e15, maxAgeMs: 1e15, minIdleMs: 0 };

/** What a worker does with images whose folders are below this one. */
export function imageSettings(folder: string): ImageSettings {
  return { folder: join(folder, "images"), scratchFolder: folder, limits: roomy };
}

/** What brings images to a daemon, as a worker has it whose folders are below this one. */
export async function openImageLoader(
  docker: DockerClient,
  folder: string,
  more: { limits?: CacheLimits; ecr?: EcrLogin } = {},
) {
  const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });
  const cache = new BlobCache({ folder: join(folder, "blobs"), scratchFolder: folder, firstRetryMs, log });
  const ledger = new ImageLedger(join(folder, "daemon"));
  const pruner = new ImagePruner({ docker, cache, ledger, limits: more.limits ?? roomy, log });
  const { store } = await inspectDaemon(docker);
  const images = new ImageLoader({ docker, store, cache, ledger, pruner, ecr: more.ecr, firstRetryMs, log });
  return { images, cache, ledger, pruner };
}
