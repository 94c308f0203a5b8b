import { imageRequestSchema, imageStatusSchema } from "../../../shared/api/schemas.ts";
import { imageKey } from "../../../shared/domain/object-keys.ts";
import type { Deps } from "../../deps.ts";
import { createRouter, jsonAnswer, jsonBody, securedRoute } from "../route.ts";

const uploadSeconds = 3600;

const shipRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/images",
  summary: "Ask whether an image has to be uploaded, and where to",
  request: { body: jsonBody(imageRequestSchema) },
  responses: { 200: jsonAnswer(imageStatusSchema, "Present, or the link to PUT its archive to.") },
});

/** Routes on shipped images. */
export function imageRoutes(deps: Deps) {
  return createRouter().openapi(shipRoute, async (c) => {
    const { imageId } = c.req.valid("json");
    const key = imageKey(imageId);
    if (await deps.objects.exists(key)) return c.json({ imageId, present: true }, 200);
    const uploadUrl = await deps.objects.presignPut(key, { expiresSeconds: uploadSeconds });
    return c.json({ imageId, present: false, uploadUrl }, 200);
  });
}
