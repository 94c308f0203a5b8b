import * as z from "zod";
import { putSecretSchema, secretPageSchema, secretSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { explainBadSecretName } from "../../../shared/domain/secret-rules.ts";
import type { Deps } from "../../deps.ts";
import { createRouter, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";

const nameParam = z.object({
  name: z.string().superRefine((name, context) => {
    const message = explainBadSecretName(name);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  }),
});

const listRoute = securedRoute("submitter", {
  method: "get",
  path: "/v1/secrets",
  summary: "List secrets, never their values",
  description:
    "In no promised order. A page may be short, or empty, though others follow: read on while there is a cursor.",
  request: { query: pageQuery(200, 50) },
  responses: { 200: jsonAnswer(secretPageSchema, "A page of secrets.") },
});

const getRoute = securedRoute("submitter", {
  method: "get",
  path: "/v1/secrets/{name}",
  summary: "Tell that a secret exists and when it was set, never its value",
  request: { params: nameParam },
  responses: { 200: jsonAnswer(secretSchema, "The secret without its value.") },
});

const putRoute = securedRoute("operator", {
  method: "put",
  path: "/v1/secrets/{name}",
  summary: "Set a secret or replace its value",
  request: { params: nameParam, body: jsonBody(putSecretSchema) },
  responses: { 200: jsonAnswer(secretSchema, "It is set; tasks that are claimed from now on get it.") },
});

const deleteRoute = securedRoute("operator", {
  method: "delete",
  path: "/v1/secrets/{name}",
  summary: "Remove a secret",
  request: { params: nameParam },
  responses: { 200: jsonAnswer(secretSchema.pick({ name: true }), "It is gone.") },
});

/** Routes on secrets. No answer ever holds a value: values leave with the claim of a task that names them, only. */
export function secretRoutes(deps: Deps) {
  const notFound = (name: string) =>
    new AppError("not_found", `there is no secret ${name}; \`sluice secrets ls\` lists them`);
  return createRouter()
    .openapi(listRoute, async (c) => c.json(await deps.secrets.list(c.req.valid("query")), 200))
    .openapi(getRoute, async (c) => {
      const { name } = c.req.valid("param");
      const secret = await deps.secrets.describe(name);
      if (!secret) throw notFound(name);
      return c.json(secret, 200);
    })
    .openapi(putRoute, async (c) => {
      const { name } = c.req.valid("param");
      const { principal, requestId } = c.var;
      const secret = { name, updatedAt: new Date(deps.now()).toISOString(), updatedBy: principal.name };
      await deps.secrets.put(secret, c.req.valid("json").value);
      deps.log.info({ audit: "secret.set", secret: name, by: principal.name, requestId }, "a secret was set");
      return c.json(secret, 200);
    })
    .openapi(deleteRoute, async (c) => {
      const { name } = c.req.valid("param");
      const { principal, requestId } = c.var;
      if (!(await deps.secrets.delete(name))) throw notFound(name);
      deps.log.info({ audit: "secret.removed", secret: name, by: principal.name, requestId }, "a secret was removed");
      return c.json({ name }, 200);
    });
}
