import { createRoute } from "@hono/zod-openapi";
import * as z from "zod";
import { AppError } from "../../../shared/domain/errors.ts";
import { version } from "../../../shared/version.ts";
import type { Deps } from "../../deps.ts";
import { createRouter, jsonAnswer, problemAnswer } from "../route.ts";

const aliveRoute = createRoute({
  method: "get",
  path: "/healthz",
  summary: "Tell that the API answers",
  description: "Needs no token and reads nothing.",
  responses: {
    200: jsonAnswer(z.object({ status: z.literal("ok"), version: z.string() }).meta({ id: "Alive" }), "It does."),
  },
});

const readyRoute = createRoute({
  method: "get",
  path: "/readyz",
  summary: "Tell whether the API can work",
  description: "Needs no token. 503 while the table does not answer.",
  responses: {
    200: jsonAnswer(z.object({ status: z.literal("ready"), version: z.string() }).meta({ id: "Ready" }), "It can."),
    503: problemAnswer,
  },
});

/** Routes by which others see whether the service is well; they need no token. */
export function healthRoutes(deps: Pick<Deps, "tokens">) {
  return createRouter()
    .openapi(aliveRoute, (c) => c.json({ status: "ok" as const, version }, 200))
    .openapi(readyRoute, async (c) => {
      try {
        await deps.tokens.find("readiness");
      } catch (error) {
        throw new AppError("unavailable", "the table does not answer; try again", { cause: error });
      }
      return c.json({ status: "ready" as const, version }, 200);
    });
}
