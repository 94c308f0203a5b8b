import * as z from "zod";
import { limits } from "../domain/limits.ts";
import { digestPattern } from "../jobfile/job-spec.ts";

const digest = z.string().regex(digestPattern);
/** The most bytes that S3 keeps as one object. */
const blobBytes = z
  .number()
  .int()
  .min(1)
  .max(5 * 1024 ** 4);
const partNumber = z.number().int().min(1).max(limits.imageParts);
const uploadId = z.string().min(1).max(2_000);

/**
 * Blobs of an image. A blob is called by the digest of what it is compressed from (with zstd): the image's configuration,
 * or the archive (tar) of a layer.
 */
export const imageRequestSchema = z
  .object({ blobs: z.array(digest).min(1).max(limits.imageBlobs) })
  .meta({ id: "ImageRequest" });

/** Which blobs of an image have to be uploaded; the others are kept for the job that is to come. */
export const imageStatusSchema = z
  .object({ missing: z.array(z.object({ digest: z.string() })) })
  .meta({ id: "ImageStatus" });
export type ImageStatus = z.infer<typeof imageStatusSchema>;

/** Bytes of the blob as it is sent: compressed. */
export const blobUploadRequestSchema = z.object({ bytes: blobBytes }).meta({ id: "BlobUploadRequest" });

/**
 * How to send a blob: not at all, in one piece to a link, or in parts. Of the latter, the entity tags (MD5 in
 * hexadecimal) of those that have arrived are told, from this sender or another. Every part but the last has
 * `partBytes` bytes.
 */
export const blobUploadSchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("stored") }),
    z.object({ status: z.literal("piece"), url: z.string() }),
    z.object({
      status: z.literal("parts"),
      uploadId: z.string(),
      partBytes: z.number().int(),
      arrived: z.array(z.object({ part: z.number().int(), etag: z.string() })),
    }),
  ])
  .meta({ id: "BlobUpload" });
export type BlobUpload = z.infer<typeof blobUploadSchema>;

export const partLinksRequestSchema = z
  .object({ uploadId, parts: z.array(partNumber).min(1).max(limits.imagePartLinks) })
  .meta({ id: "PartLinksRequest" });

/** Where to PUT each part. */
export const partLinksSchema = z
  .object({ links: z.array(z.object({ part: z.number().int(), url: z.string() })) })
  .meta({ id: "PartLinks" });
export type PartLinks = z.infer<typeof partLinksSchema>;

/** What was sent; without `parts` in one piece. */
export const completeBlobSchema = z
  .object({
    bytes: blobBytes,
    parts: z
      .object({
        uploadId,
        sent: z
          .array(z.object({ part: partNumber, etag: z.string().regex(/^[0-9a-f]{32}(-\d+)?$/) }))
          .min(1)
          .max(limits.imageParts),
      })
      .optional(),
  })
  .meta({ id: "CompleteBlob" });
export type CompleteBlob = z.infer<typeof completeBlobSchema>;

export const blobStoredSchema = z.object({ status: z.literal("stored") }).meta({ id: "BlobStored" });

/** A blob of shipped images: its bytes (0 while it is uploaded) and, to some hours, when it was used last. */
export const imageBlobSchema = z
  .object({ digest: z.string(), bytes: z.number().int(), usedAt: z.string() })
  .meta({ id: "ImageBlob" });
export type ListedImageBlob = z.infer<typeof imageBlobSchema>;

export const imageBlobPageSchema = z
  .object({ blobs: z.array(imageBlobSchema), cursor: z.string().optional() })
  .meta({ id: "ImageBlobPage" });
export type ImageBlobPage = z.infer<typeof imageBlobPageSchema>;

/**
 * Which images to remove: those unused for so many days, and the longest unused ones above so many bytes; without either,
 * by the installation's own retention. None is removed within `imageRetryDays` of its last use.
 */
export const imagePruneRequestSchema = z
  .object({
    unusedDays: z.number().int().min(limits.imageRetryDays).max(3_650).optional(),
    maxBytes: z.number().int().min(0).max(1e15).optional(),
    apply: z.boolean().default(false),
  })
  .meta({ id: "ImagePruneRequest" });
export type ImagePruneRequest = z.input<typeof imagePruneRequestSchema>;

const blobSum = z.object({ blobs: z.number().int(), bytes: z.number().int() });

/** What there was and what was removed of it (or would be); `more` says that a further call has something to do. */
export const imagePruneSchema = z
  .object({ applied: z.boolean(), total: blobSum, removed: blobSum, more: z.boolean() })
  .meta({ id: "ImagePrune" });
export type ImagePrune = z.infer<typeof imagePruneSchema>;
