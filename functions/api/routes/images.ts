import * as z from "zod";
import {
  blobStoredSchema,
  blobUploadRequestSchema,
  blobUploadSchema,
  completeBlobSchema,
  imageBlobPageSchema,
  imagePruneRequestSchema,
  imagePruneSchema,
  imageRequestSchema,
  imageStatusSchema,
  partLinksRequestSchema,
  partLinksSchema,
} from "../../../shared/api/image-schemas.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { digestPattern } from "../../../shared/jobfile/job-spec.ts";
import type { Deps } from "../../deps.ts";
import { useBlobs } from "../../operations/image-blobs.ts";
import { ownRetention, pruneImages } from "../../operations/prune-images.ts";
import { beginUpload, completeUpload, linkParts } from "../../operations/upload-blob.ts";
import { createRouter, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";

/** A call removes images for so long; its caller repeats it. */
const pruneMs = 20_000;
const dayMs = 24 * 3600_000;
const blobParam = z.object({ digest: z.string().regex(digestPattern) });

const missingRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images",
  summary: "Ask which blobs of an image have to be uploaded",
  request: { body: jsonBody(imageRequestSchema) },
  responses: { 200: jsonAnswer(imageStatusSchema, "The blobs that are missing.") },
});

const uploadRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images/{digest}/upload",
  summary: "Begin the upload of a blob, or go on with one that was begun",
  request: { params: blobParam, body: jsonBody(blobUploadRequestSchema) },
  responses: { 200: jsonAnswer(blobUploadSchema, "How to send it, and what of it has arrived.") },
});

const partsRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images/{digest}/upload/parts",
  summary: "Ask for links to send parts of a blob by",
  request: { params: blobParam, body: jsonBody(partLinksRequestSchema) },
  responses: { 200: jsonAnswer(partLinksSchema, "Where to PUT each part.") },
});

const completeRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images/{digest}/upload/complete",
  summary: "Say that all of a blob was sent",
  request: { params: blobParam, body: jsonBody(completeBlobSchema) },
  responses: { 200: jsonAnswer(blobStoredSchema, "It is stored.") },
});

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/images",
  summary: "List the blobs of shipped images, the longest unused first",
  request: { query: pageQuery(limits.pageSize, 100) },
  responses: { 200: jsonAnswer(imageBlobPageSchema, "A page of blobs.") },
});

const pruneRoute = securedRoute("operator", {
  method: "post",
  path: "/v1/images/prune",
  summary: "Remove images that were not used for long (a dry run unless `apply` is true)",
  request: { body: jsonBody(imagePruneRequestSchema) },
  responses: { 200: jsonAnswer(imagePruneSchema, "What is removed, or would be.") },
});

/** Routes on shipped images. */
export function imageRoutes(deps: Deps) {
  return createRouter()
    .openapi(missingRoute, async (c) => {
      const { blobs } = c.req.valid("json");
      const stored = await useBlobs(deps, blobs);
      const missing = [...new Set(blobs)].filter((digest) => !stored.has(digest));
      return c.json({ missing: missing.map((digest) => ({ digest })) }, 200);
    })
    .openapi(uploadRoute, async (c) =>
      c.json(await beginUpload(deps, c.req.valid("param").digest, c.req.valid("json").bytes), 200),
    )
    .openapi(partsRoute, async (c) =>
      c.json(await linkParts(deps, c.req.valid("param").digest, c.req.valid("json")), 200),
    )
    .openapi(completeRoute, async (c) => {
      await completeUpload(deps, c.req.valid("param").digest, c.req.valid("json"));
      return c.json({ status: "stored" as const }, 200);
    })
    .openapi(listRoute, async (c) => {
      const { limit, cursor } = c.req.valid("query");
      return c.json(await deps.imageBlobs.list({ limit, ...(cursor ? { cursor } : {}) }), 200);
    })
    .openapi(pruneRoute, async (c) => {
      const { unusedDays, maxBytes, apply } = c.req.valid("json");
      const isOwn = unusedDays === undefined && maxBytes === undefined;
      const wish = isOwn
        ? ownRetention(deps)
        : {
            olderThanMs: unusedDays === undefined ? Number.POSITIVE_INFINITY : unusedDays * dayMs,
            maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
          };
      const pruned = await pruneImages(deps, { ...wish, apply, deadlineMs: deps.now() + pruneMs });
      if (apply) deps.log.info({ by: c.var.principal.name, removed: pruned.removed }, "images were pruned");
      return c.json(pruned, 200);
    });
}
