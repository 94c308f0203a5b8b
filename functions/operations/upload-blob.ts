import { randomUUID } from "node:crypto";
import type { BlobUpload, CompleteBlob, PartLinks } from "../../shared/api/image-schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { limits } from "../../shared/domain/limits.ts";
import { imageBlobKey } from "../../shared/domain/object-keys.ts";
import type { ImageBlob } from "../../shared/repository/image-blobs.ts";
import type { Deps } from "../deps.ts";
import { finishRemoval } from "./remove-blob.ts";

const linkSeconds = 3600;
const raceTries = 8;
const dayMs = 24 * 3600_000;
const partStepBytes = 1024 * 1024;

/** Bytes of each part but the last of a blob that is sent in parts: no more of them than one list of S3 holds. */
export function partBytesFor(blobBytes: number): number {
  const least = Math.ceil(blobBytes / limits.imageParts / partStepBytes) * partStepBytes;
  return Math.max(limits.imagePieceBytes, least);
}

/**
 * Begins the upload of a blob, or goes on with one that was begun: by whomever, as all of them would send the same. What
 * has arrived of it is told by its entity tags (MD5), by which a sender knows its own parts.
 */
export async function beginUpload(deps: Deps, digest: string, bytes: number): Promise<BlobUpload> {
  for (let tries = 0; tries < raceTries; tries++) {
    const blob = await readOrCreate(deps, digest);
    if (blob === undefined || !(await deps.imageBlobs.touch(blob, deps.now()))) continue;
    if (blob.state === "stored") return { status: "stored" };
    if (bytes <= limits.imagePieceBytes) {
      return { status: "piece", url: await deps.objects.presignPut(blob.key, { expiresSeconds: linkSeconds }) };
    }
    const partBytes = partBytesFor(bytes);
    const arrived = blob.uploadId === undefined ? undefined : await deps.objects.listParts(blob.key, blob.uploadId);
    if (blob.uploadId !== undefined && arrived !== undefined) {
      return { status: "parts", uploadId: blob.uploadId, partBytes, arrived };
    }
    const uploadId = await deps.objects.beginParts(blob.key);
    if (await deps.imageBlobs.noteUpload(blob, uploadId)) return { status: "parts", uploadId, partBytes, arrived: [] };
    await deps.objects.abortParts(blob.key, uploadId);
  }
  throw new AppError("unavailable", `too many ship ${digest} at the same moment; try again`);
}

/** The blob's item; undefined where it changed meanwhile. */
async function readOrCreate(deps: Deps, digest: string): Promise<ImageBlob | undefined> {
  const blob = (await deps.imageBlobs.getMany([digest])).get(digest);
  if (blob && blob.state !== "removing") return blob;
  // Whoever began to remove it may be gone. Its object has a key of its own, so this meets nothing that is new.
  if (blob) await finishRemoval(deps, blob);
  const created = await deps.imageBlobs.create({ digest, key: imageBlobKey(digest, randomUUID()), nowMs: deps.now() });
  if (created) await deps.imageBlobs.scheduleRetention(deps.now() + dayMs, { move: false });
  return (await deps.imageBlobs.getMany([digest])).get(digest);
}

/** Links to send parts of a blob by. */
export async function linkParts(
  deps: Deps,
  digest: string,
  { uploadId, parts }: { uploadId: string; parts: readonly number[] },
): Promise<PartLinks> {
  const blob = await findUploading(deps, digest);
  if (blob === "stored" || blob.uploadId !== uploadId) throw newUpload(digest);
  const links = await Promise.all(
    parts.map(async (part) => {
      return { part, url: await deps.objects.presignPart(blob.key, uploadId, part, { expiresSeconds: linkSeconds }) };
    }),
  );
  return { links };
}

/** Makes a stored blob of what was sent, where it is what the sender says that it sent. */
export async function completeUpload(deps: Deps, digest: string, sent: CompleteBlob): Promise<void> {
  const blob = await findUploading(deps, digest);
  if (blob === "stored") return;
  if (sent.parts) {
    if (sent.parts.uploadId !== blob.uploadId) throw newUpload(digest);
    const ended = await deps.objects.completeParts(blob.key, sent.parts.uploadId, sent.parts.sent, sent.bytes);
    if (ended === "other_parts") {
      throw new AppError("conflict", `what arrived of ${digest} is not what was sent; ask again what is there`);
    }
  }
  // Of an upload that is gone, another sender may have made the object just now.
  const bytes = await deps.objects.size(blob.key);
  if (bytes !== sent.bytes) throw newUpload(digest);
  if (!(await deps.imageBlobs.noteStored(blob, bytes, deps.now()))) throw newUpload(digest);
}

async function findUploading(deps: Deps, digest: string): Promise<ImageBlob | "stored"> {
  const blob = (await deps.imageBlobs.getMany([digest])).get(digest);
  if (blob?.state === "stored") return "stored";
  if (blob?.state === "uploading") return blob;
  throw newUpload(digest);
}

function newUpload(digest: string): AppError {
  return new AppError("conflict", `the upload of ${digest} is not under way any more; begin it again`);
}
