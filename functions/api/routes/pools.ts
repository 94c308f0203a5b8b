import * as z from "zod";
import { fleetEventTypes } from "../../../events/index.ts";
import {
  desirePoolSchema,
  fleetEventPageSchema,
  forgetPoolRequestSchema,
  forgottenPoolSchema,
  poolListSchema,
  poolSchema,
} from "../../../shared/api/schemas.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { Deps } from "../../deps.ts";
import { desireWorkers, forgetPool, listPools } from "../../operations/pools.ts";
import { inOrder } from "../in-order.ts";
import { createRouter, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";

const poolParam = z.object({ pool: z.string().min(1).max(64) });

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/pools",
  summary: "List pools and how their workers are",
  responses: { 200: jsonAnswer(poolListSchema, "All pools ever seen and not forgotten, by name.") },
});

const desireRoute = securedRoute("operator", {
  method: "put",
  path: "/v1/pools/{pool}/desired",
  summary: "Say how many workers a pool should have",
  description: "A pool with fewer live workers is `degraded`. It starts none: that is up to whoever runs them.",
  request: { params: poolParam, body: jsonBody(desirePoolSchema) },
  responses: { 200: jsonAnswer(poolSchema, "The pool.") },
});

const forgetRoute = securedRoute("admin", {
  method: "post",
  path: "/v1/admin/pools/{pool}/forget",
  summary: "Forget a pool's past workers",
  description:
    "Tells which records would be removed; removes them with `apply`, and takes the pool off the list unless it is configured. A pool with live workers is refused (409). With `cursor` in the answer, call again with it.",
  request: { params: poolParam, body: jsonBody(forgetPoolRequestSchema) },
  responses: { 200: jsonAnswer(forgottenPoolSchema, "The records of past workers.") },
});

const eventsRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/history/events",
  summary: "Read the events of pools and workers, the newest first",
  description:
    "Kept for 30 days. A page may have a few events more than asked for: those of one move stay together. With filters it may be short though more follow; the list ends where there is no `cursor`.",
  request: {
    query: pageQuery(limits.pageSize, 100).extend({
      pool: z.string().min(1).max(64).optional(),
      worker: z.string().min(1).max(64).optional(),
      type: z.enum(fleetEventTypes).optional(),
    }),
  },
  responses: { 200: jsonAnswer(fleetEventPageSchema, "A page of events.") },
});

/** Routes on pools and on what happened in them. */
export function poolRoutes(deps: Deps) {
  return createRouter()
    .openapi(listRoute, async (c) => c.json({ pools: await listPools(deps) }, 200))
    .openapi(desireRoute, async (c) => {
      const { desired } = c.req.valid("json");
      return c.json(await desireWorkers(deps, c.req.valid("param").pool, { desired, by: c.var.principal.name }), 200);
    })
    .openapi(forgetRoute, async (c) => {
      const { pool } = c.req.valid("param");
      const by = c.var.principal.name;
      return c.json(await forgetPool(deps, pool, { by, ...c.req.valid("json") }), 200);
    })
    .openapi(eventsRoute, async (c) => {
      const { pool, worker, type, limit, cursor } = c.req.valid("query");
      const page = await deps.fleetEvents.list({
        // A worker's events are those of its pool, which are quicker to find.
        pool: pool ?? (worker && (await deps.workers.get(worker))?.pool),
        limit,
        cursor,
        maxBytes: deps.limits.eventPageBytes,
        matches: (event) =>
          (type === undefined || event.type === type) &&
          (worker === undefined || ("workerId" in event && event.workerId === worker)),
      });
      return c.json(inOrder(fleetEventPageSchema, page), 200);
    });
}
