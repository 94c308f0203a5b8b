import type { Deps } from "../deps.ts";
import { ownRetention, pruneImages } from "../operations/prune-images.ts";
import type { SweptUnit } from "./sweep-report.ts";

const everyMs = 24 * 3600_000;

/** Removes images by age and size, once a day; what one run does not get done the next one does. */
export async function sweepImages(deps: Deps, deadlineMs: number): Promise<SweptUnit> {
  const { total, removed, more } = await pruneImages(deps, { ...ownRetention(deps), apply: true, deadlineMs });
  if (removed.blobs > 0) deps.log.info({ total, removed, more }, "images that nobody used were removed");
  if (!more) await deps.imageBlobs.scheduleRetention(deps.now() + everyMs, { move: true });
  return { blobsRemoved: removed.blobs };
}
