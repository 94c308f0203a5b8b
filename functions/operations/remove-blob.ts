import type { ImageBlob } from "../../shared/repository/image-blobs.ts";
import type { Deps } from "../deps.ts";

/**
 * Removes a condemned blob: its object, then what is known of it. Safe to repeat and safe to come late, for the key of
 * its object is never used again.
 */
export async function finishRemoval(deps: Deps, blob: ImageBlob): Promise<void> {
  if (blob.uploadId !== undefined) await deps.objects.abortParts(blob.key, blob.uploadId);
  await deps.objects.remove(blob.key);
  await deps.imageBlobs.forget(blob);
}
