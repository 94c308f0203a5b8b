import pLimit from "p-limit";
import { AppError } from "../../shared/domain/errors.ts";
import { limits } from "../../shared/domain/limits.ts";
import type { ImageBlob } from "../../shared/repository/image-blobs.ts";
import type { JobDigest } from "../../shared/repository/items.ts";
import type { StoredSpec } from "../../shared/repository/jobs.ts";
import type { Deps } from "../deps.ts";

const parallelTouches = 10;

/** Digests of the blobs that a job's shipped images consist of, each once. */
export function listImageBlobs({ steps }: Pick<StoredSpec, "steps">): string[] {
  const blobs = steps.flatMap((step) =>
    step.kind === "container" && step.shipped ? [step.image, ...(step.layers ?? [])] : [],
  );
  return [...new Set(blobs)];
}

/**
 * Finds the stored ones among blobs, and keeps them from being removed for as long as a job can be retried. What is
 * not in the answer is not in the bucket, or will not be for long.
 */
export async function useBlobs(deps: Deps, digests: readonly string[]): Promise<Map<string, ImageBlob>> {
  if (digests.length === 0) return new Map();
  const known = [...(await deps.imageBlobs.getMany(digests)).values()];
  const limit = pLimit(parallelTouches);
  const used = await Promise.all(
    known
      .filter(({ state }) => state === "stored")
      .map((blob) => limit(async () => ((await deps.imageBlobs.touch(blob, deps.now())) ? blob : undefined))),
  );
  return new Map(used.flatMap((blob) => (blob ? [[blob.digest, blob]] : [])));
}

/** Keeps what is stored of a job's images, as a job that has not ended does however long nothing of it starts. */
export async function useJobImages(deps: Deps, { jobId, images }: Pick<JobDigest, "jobId" | "images">): Promise<void> {
  const spec = images ? await deps.jobs.getSpec(jobId) : undefined;
  if (spec) await useBlobs(deps, listImageBlobs(spec));
}

/** Keeps a job's images from being removed, or refuses where they are gone already. */
export async function holdImages(deps: Deps, spec: Pick<StoredSpec, "steps">): Promise<void> {
  const digests = listImageBlobs(spec);
  const used = await useBlobs(deps, digests);
  const missing = digests.filter((digest) => !used.has(digest));
  if (missing.length === 0) return;
  throw new AppError(
    "image_missing",
    `${missing.length} of the ${digests.length} parts of the job's shipped images are not stored (${missing[0]}, for one): ` +
      `images are removed ${limits.imageRetryDays} days after their last use at the earliest; run the job from its file, which ships them again`,
  );
}
