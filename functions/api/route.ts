import { createRoute, OpenAPIHono, type RouteConfig } from "@hono/zod-openapi";
import * as z from "zod";
import { problemSchema } from "../../shared/api/schemas.ts";
import { limits } from "../../shared/domain/limits.ts";
import type { Role } from "../../shared/domain/roles.ts";
import { type ApiEnv, requireRole } from "./auth.ts";
import { answerProblem } from "./problem.ts";
import { describeRequestProblems } from "./request-problems.ts";

/** A router whose schema errors are problem documents that list every mistake. */
export function createRouter(): OpenAPIHono<ApiEnv> {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result, c) => {
      if (result.success) return;
      // Of a request that does not pass, `data` is what was sent.
      const problems = describeRequestProblems(result.error.issues, "data" in result ? result.data : undefined);
      const code = c.req.path === "/v1/jobs" && result.target === "json" ? "invalid_job" : "invalid_request";
      const summary = problems
        .map(({ path, message }) => (path ? `${path}: ${message}` : message))
        .slice(0, 5)
        .join("; ");
      return answerProblem(c, code, summary, { problems });
    },
  });
}

/** The answer of any route that goes wrong, for its documentation. */
export const problemAnswer = {
  description: "What went wrong, and what to do.",
  content: { "application/problem+json": { schema: problemSchema } },
};

/** A route that needs a role; the middleware and the documentation come from the same word. */
export function securedRoute<const Config extends Omit<RouteConfig, "middleware">>(role: Role, config: Config) {
  return createRoute({
    ...config,
    security: [{ token: [] }],
    middleware: [requireRole(role)] as const,
    responses: { ...config.responses, default: problemAnswer } as Config["responses"] & {
      default: typeof problemAnswer;
    },
  });
}

/** A JSON answer for a route's documentation. */
export function jsonAnswer<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { description, content: { "application/json": { schema } } };
}

/** A JSON request body for a route. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { required: true, content: { "application/json": { schema } } };
}

/** The Idempotency-Key of a request that creates something: sent again, it creates nothing more. */
export const idempotencyHeaders = z.object({
  "idempotency-key": z.string().min(1).max(limits.idempotencyKeyLength).optional(),
});

export const jobParam = z.object({ job: z.string().min(1).max(128) });
export const taskParam = jobParam.extend({ task: z.string().min(1).max(128) });

/** `limit` and `cursor` of a list. */
export function pageQuery(maxLimit: number, defaultLimit: number) {
  return z.object({
    limit: z.coerce.number().int().min(1).max(maxLimit).default(defaultLimit),
    cursor: z.string().max(2000).optional(),
  });
}
