import * as z from "zod";
import {
  deadLetterPageSchema,
  deadLetterSchema,
  redriveRequestSchema,
  redriveSchema,
} from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import type { Deps } from "../../deps.ts";
import { findPool } from "../../operations/dispatch.ts";
import { redriveDeadLetters } from "../../operations/redrive.ts";
import { createRouter, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";
import { summarizeDeadLetter, viewDeadLetter } from "../views.ts";

const listRoute = securedRoute("operator", {
  method: "get",
  path: "/v1/admin/dead-letters",
  summary: "List a pool's dead letters, the newest first",
  request: { query: pageQuery(100, 50).extend({ pool: z.string().max(64) }) },
  responses: { 200: jsonAnswer(deadLetterPageSchema, "A page of dead letters.") },
});

const getRoute = securedRoute("operator", {
  method: "get",
  path: "/v1/admin/dead-letters/{id}",
  summary: "Read a dead letter with its body",
  request: { params: z.object({ id: z.string().max(100) }), query: z.object({ pool: z.string().max(64) }) },
  responses: { 200: jsonAnswer(deadLetterSchema, "The dead letter.") },
});

const redriveRoute = securedRoute("admin", {
  method: "post",
  path: "/v1/admin/redrive",
  summary: "Queue tasks again that failed because of their dead letters (a dry run unless `apply` is true)",
  request: { body: jsonBody(redriveRequestSchema) },
  responses: { 200: jsonAnswer(redriveSchema, "What is redriven, or would be, and what is not, with the reason.") },
});

/** Routes on dead letters: what was received too often, and the way back. */
export function deadLetterRoutes(deps: Deps) {
  return createRouter()
    .openapi(listRoute, async (c) => {
      const page = c.req.valid("query");
      findPool(deps, page.pool);
      const { letters, ...more } = await deps.deadLetters.list(page);
      return c.json({ deadLetters: letters.map(summarizeDeadLetter), ...more }, 200);
    })
    .openapi(getRoute, async (c) => {
      const { id: messageId } = c.req.valid("param");
      const { pool } = c.req.valid("query");
      const [letter] = await deps.deadLetters.getMany(pool, [messageId]);
      if (!letter) throw new AppError("not_found", `pool ${pool} has no dead letter ${messageId}`);
      return c.json(viewDeadLetter(letter), 200);
    })
    .openapi(redriveRoute, async (c) => {
      const by = c.var.principal.name;
      const answer = await redriveDeadLetters(deps, { ...c.req.valid("json"), by });
      const { pool, applied, redriven } = answer;
      if (applied) deps.log.info({ by, pool, redriven }, "dead letters were redriven");
      return c.json(answer, 200);
    });
}
