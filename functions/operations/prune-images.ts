import pLimit from "p-limit";
import type { ImagePrune } from "../../shared/api/image-schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { limits } from "../../shared/domain/limits.ts";
import type { ListedBlob } from "../../shared/repository/image-blobs.ts";
import { parseDigestKey } from "../../shared/repository/keys.ts";
import type { Deps } from "../deps.ts";
import { useJobImages } from "./image-blobs.ts";
import { finishRemoval } from "./remove-blob.ts";

const dayMs = 24 * 3600_000;
const pageSize = 1_000;
const parallelRemovals = 8;
/** Jobs that have not ended are looked at twice a day, and keep their images then. */
const latestLookMs = 2 * dayMs;
/** A job of which not even its images can be told holds up the removal of others' for so long. */
const hopelessMs = 90 * dayMs;

/** Which images go: those unused for longer than `olderThanMs`, and the longest unused ones above `maxBytes`. */
export interface PruneWish {
  olderThanMs: number;
  maxBytes: number;
  /** Else a dry run. */
  apply: boolean;
  /** By the control plane's clock; what is not done by then is told by `more`. */
  deadlineMs: number;
}

/** The retention that this installation is set to. */
export function ownRetention({ limits: { imageDays, imageGigabytes } }: Pick<Deps, "limits">): {
  olderThanMs: number;
  maxBytes: number;
} {
  return { olderThanMs: imageDays * dayMs, maxBytes: imageGigabytes * 1e9 };
}

/**
 * Removes image blobs by age and size. A blob is never removed within `imageRetryDays` of its last use, whatever the
 * wish: every upload, submit, claim and retry is a use, and for each job that has not ended the sweep notes one twice
 * a day; for a job that the sweep has not come to, or cannot finish, it is noted here. So no job that runs, or ended
 * within that time, can lose its images, nor can a blob that is being uploaded.
 */
export async function pruneImages(deps: Deps, wish: PruneWish): Promise<ImagePrune> {
  const nowMs = deps.now();
  const leastMs = limits.imageRetryDays * dayMs;
  if (wish.apply) await useImagesOfForgottenJobs(deps, wish.deadlineMs);
  const total = await measure(deps, wish.deadlineMs);
  const left = { ...total };
  const isWanted = (blob: ListedBlob): boolean => {
    const unusedMs = nowMs - Date.parse(blob.usedAt);
    if (unusedMs <= leastMs) return false;
    // Never completed: its parts are gone by the bucket's own rule.
    return unusedMs > wish.olderThanMs || left.bytes > wish.maxBytes || blob.bytes === 0;
  };
  const removed = { blobs: 0, bytes: 0 };
  const limit = pLimit(parallelRemovals);
  let more = false;
  for await (const page of eachBlobPage(deps)) {
    // The longest unused come first: behind the first one that stays because of its last use, all stay.
    const wanted = page.filter((blob) => {
      if (!isWanted(blob)) return false;
      left.blobs -= 1;
      left.bytes -= blob.bytes;
      return true;
    });
    const done = wish.apply ? await Promise.all(wanted.map((blob) => limit(() => removeBlob(deps, blob)))) : [];
    for (const [index, { bytes }] of wanted.entries()) {
      if (wish.apply && done[index] !== true) continue;
      removed.blobs += 1;
      removed.bytes += bytes;
    }
    const newest = page.at(-1);
    if (newest && nowMs - Date.parse(newest.usedAt) <= leastMs) break;
    more = deps.now() > wish.deadlineMs;
    if (more) break;
  }
  return { applied: wish.apply, total, removed, more };
}

async function* eachBlobPage(deps: Deps): AsyncGenerator<ListedBlob[]> {
  let cursor: string | undefined;
  do {
    const page = await deps.imageBlobs.list({ limit: pageSize, ...(cursor ? { cursor } : {}) });
    yield page.blobs;
    cursor = page.cursor;
  } while (cursor !== undefined);
}

async function measure(deps: Deps, deadlineMs: number): Promise<{ blobs: number; bytes: number }> {
  const total = { blobs: 0, bytes: 0 };
  for await (const page of eachBlobPage(deps)) {
    total.blobs += page.length;
    for (const { bytes } of page) total.bytes += bytes;
    if (deps.now() > deadlineMs) throw new AppError("unavailable", "there are too many images to count in time");
  }
  return total;
}

/** Removes a blob if it is still as the list told. */
async function removeBlob(deps: Deps, { digest, usedAt }: ListedBlob): Promise<boolean> {
  const blob = (await deps.imageBlobs.getMany([digest])).get(digest);
  if (!blob || blob.usedAt !== usedAt) return false;
  if (blob.state !== "removing" && !(await deps.imageBlobs.condemn(blob))) return false;
  await finishRemoval(deps, blob);
  return true;
}

/** Does for jobs that are long overdue what the sweep would do first. Throws where there is no time to come to all. */
async function useImagesOfForgottenJobs(deps: Deps, deadlineMs: number): Promise<void> {
  const nowMs = deps.now();
  for await (const keys of deps.jobs.eachDuePage(nowMs - latestLookMs, pageSize)) {
    for (const jobId of keys.flatMap((key) => parseDigestKey(key) ?? [])) {
      if (deps.now() > deadlineMs) {
        throw new AppError("unavailable", "no image is removed now: the sweep is behind with too many jobs");
      }
      await useImagesOfForgottenJob(deps, jobId, nowMs);
    }
  }
}

async function useImagesOfForgottenJob(deps: Deps, jobId: string, nowMs: number): Promise<void> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest || isTerminalJobState(digest.state)) return;
  try {
    await useJobImages(deps, digest);
  } catch (error) {
    if (nowMs - Date.parse(digest.createdAt) > hopelessMs) {
      deps.log.error({ err: error, jobId }, "images are removed though this job may need some of them");
      return;
    }
    const message = `no image is removed now: it cannot be told which job ${jobId} needs, which the sweep has not finished for more than ${latestLookMs / dayMs} days`;
    throw new AppError("unavailable", message, { cause: error });
  }
}
