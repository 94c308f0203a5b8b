import { imageRequestSchema, imageStatusSchema } from "../../../shared/api/schemas.ts";
import { imageBlobKey } from "../../../shared/domain/object-keys.ts";
import type { Deps } from "../../deps.ts";
import { createRouter, jsonAnswer, jsonBody, securedRoute } from "../route.ts";

const uploadSeconds = 3600;

const shipRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images",
  summary: "Ask which blobs of an image have to be uploaded, and where to",
  request: { body: jsonBody(imageRequestSchema) },
  responses: { 200: jsonAnswer(imageStatusSchema, "The blobs that are missing, each with the link to PUT it to.") },
});

/** Routes on shipped images. */
export function imageRoutes(deps: Deps) {
  return createRouter().openapi(shipRoute, async (c) => {
    const { blobs } = c.req.valid("json");
    const asked = await Promise.all(
      [...new Set(blobs)].map(async (digest) => {
        const key = imageBlobKey(digest);
        if (await deps.objects.exists(key)) return [];
        return [{ digest, uploadUrl: await deps.objects.presignPut(key, { expiresSeconds: uploadSeconds }) }];
      }),
    );
    return c.json({ missing: asked.flat() }, 200);
  });
}
