import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createZstdCompress } from "node:zlib";
import type { ApiClient } from "../../shared/api-client/index.ts";
import type { Context } from "../context.ts";
import { CliError, exitCodes } from "../errors.ts";
import { formatBytes, formatDuration } from "../terminal/format.ts";
import { countBytes } from "../transfer/count-bytes.ts";
import { putFile } from "../transfer/put-file.ts";
import { openDocker } from "./docker.ts";
import { createProgress } from "./progress.ts";

/** Uploads are tried this often, each time with a fresh link. */
const uploadTries = 3;

/** Brings a local image to the control plane unless it is there: by content, so that it is sent once at most. */
export async function shipImage(context: Context, api: ApiClient, imageId: string, signal: AbortSignal): Promise<void> {
  const { present } = await api.requestImage(imageId, { signal });
  if (present) return;
  const scratch = await mkdtemp(join(tmpdir(), "sluice-image-"));
  const progress = createProgress(context, "shipping the image");
  try {
    // S3 wants to know the length before the first byte, and it is known only when all is compressed.
    const archive = join(scratch, "image.tar.zst");
    await saveImage(imageId, archive, scratch, signal, (bytes) => progress.showLine(`packed ${formatBytes(bytes)}`));
    const { size } = await stat(archive);
    await uploadArchive(api, imageId, archive, size, signal, (sent) =>
      progress.showLine(`sent ${formatBytes(sent)} of ${formatBytes(size)}`),
    );
    progress.end(`shipped the image, ${formatBytes(size)}, in ${formatDuration(progress.elapsedMs())}`);
  } catch (error) {
    progress.end();
    throw explainFullDisk(error, scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function saveImage(
  imageId: string,
  archive: string,
  folder: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const { stdout, ended } = openDocker(["save", imageId], { folder, signal });
  const packing = pipeline(
    stdout,
    createZstdCompress(),
    countBytes(onProgress),
    createWriteStream(archive, { mode: 0o600 }),
    { signal },
  );
  // Docker's own complaint says more than the broken pipe that follows from it.
  const [saved, packed] = await Promise.allSettled([ended, packing]);
  if (saved.status === "rejected") throw saved.reason;
  if (packed.status === "rejected") throw packed.reason;
}

async function uploadArchive(
  api: ApiClient,
  imageId: string,
  archive: string,
  size: number,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<void> {
  for (let tried = 1; ; tried++) {
    const { present, uploadUrl } = await api.requestImage(imageId, { signal });
    // Somebody else may have shipped the same image meanwhile.
    if (present) return;
    if (uploadUrl === undefined) throw new Error(`the API gave no place to put image ${imageId}`);
    const put = await putFile({ url: uploadUrl, file: archive, size, signal, onProgress });
    if (put.ok) return;
    if (tried < uploadTries) continue;
    throw new CliError(exitCodes.unreachable, `the image could not be uploaded: ${put.message}; try again`);
  }
}

function explainFullDisk(error: unknown, folder: string): unknown {
  const isFull = error instanceof Error && "code" in error && error.code === "ENOSPC";
  if (!isFull) return error;
  const message = `the disk is full: packing the image needs room in ${folder}; free some, or set TMPDIR`;
  return new CliError(exitCodes.failed, message, { cause: error });
}
