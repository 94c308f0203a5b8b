import type { Context } from "hono";
import * as z from "zod";
import { workerDetailSchema } from "../../../shared/api/overview-schemas.ts";
import { workerPageSchema } from "../../../shared/api/schemas.ts";
import {
  attemptResultSchema,
  attemptResultsSchema,
  claimAnswerSchema,
  claimRequestSchema,
  heartbeatAnswerSchema,
  heartbeatSchema,
  registerWorkerSchema,
  resultAnswerSchema,
  resultAnswersSchema,
  workerSettingsSchema,
} from "../../../shared/api/worker-schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { timing } from "../../../shared/domain/timing.ts";
import type { DrainWish, WorkerItem } from "../../../shared/repository/workers.ts";
import type { Deps } from "../../deps.ts";
import { claimTasks } from "../../operations/claim.ts";
import { findPool } from "../../operations/dispatch.ts";
import { acceptHeartbeat } from "../../operations/heartbeat.ts";
import { mostNotedForAnswer, noteSilent } from "../../operations/liveness.ts";
import { reportResult, reportResults } from "../../operations/report.ts";
import { createWorkerReader } from "../../operations/watch-workers.ts";
import { describeWorker } from "../../operations/worker-detail.ts";
import type { ApiEnv } from "../auth.ts";
import { inOrder } from "../in-order.ts";
import { createNews } from "../news.ts";
import { createRouter, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";
import { streamPolls, wantsEventStream } from "../sse.ts";
import { viewWorker } from "../views.ts";

const workerParam = z.object({ worker: z.string().max(64) });
const drainedSchema = z.object({ workerId: z.string(), status: z.literal("draining") }).meta({ id: "WorkerDrained" });

const undrainedSchema = z
  .object({ workerId: z.string(), status: z.literal("undrained") })
  .meta({ id: "WorkerUndrained" });

const registerRoute = securedRoute("worker", {
  method: "post",
  path: "/v1/workers",
  summary: "Register a worker",
  request: { body: jsonBody(registerWorkerSchema) },
  responses: { 201: jsonAnswer(workerSettingsSchema, "What the worker works with.") },
});

const heartbeatRoute = securedRoute("worker", {
  method: "post",
  path: "/v1/workers/{worker}/heartbeat",
  summary: "Tell that a worker lives and renew its leases",
  request: { params: workerParam, body: jsonBody(heartbeatSchema) },
  responses: { 200: jsonAnswer(heartbeatAnswerSchema, "What became of each lease, and what to stop.") },
});

const claimsRoute = securedRoute("worker", {
  method: "post",
  path: "/v1/workers/{worker}/claims",
  summary: "Claim tasks whose messages were received",
  request: { params: workerParam, body: jsonBody(claimRequestSchema) },
  responses: { 200: jsonAnswer(claimAnswerSchema, "One answer for each claim, in order.") },
});

const resultRoute = securedRoute("worker", {
  method: "post",
  path: "/v1/attempts/{attempt}/result",
  summary: "Report how an attempt ended",
  request: { params: z.object({ attempt: z.string().max(300) }), body: jsonBody(attemptResultSchema) },
  responses: { 200: jsonAnswer(resultAnswerSchema, "What to do with the message.") },
});

const resultsRoute = securedRoute("worker", {
  method: "post",
  path: "/v1/attempts/results",
  summary: "Report how several attempts ended",
  request: { body: jsonBody(attemptResultsSchema) },
  responses: { 200: jsonAnswer(resultAnswersSchema, "One answer for each result, in order.") },
});

const drainRoute = securedRoute("operator", {
  method: "post",
  path: "/v1/workers/{worker}/drain",
  summary: "Let a worker finish and stop",
  request: { params: workerParam },
  responses: { 202: jsonAnswer(drainedSchema, "It hears of it at its next heartbeat.") },
});

const undrainRoute = securedRoute("operator", {
  method: "post",
  path: "/v1/workers/{worker}/undrain",
  summary: "Let a worker go on that was asked to drain",
  description:
    "Refused (409) where nobody had asked it to drain, where it ends for something else too, and where it has stopped. " +
    "A worker that has not stopped by then takes tasks again, also one that has given its tasks back already.",
  request: { params: workerParam },
  responses: { 202: jsonAnswer(undrainedSchema, "It hears of it at its next heartbeat.") },
});

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/workers",
  summary: "List workers, the newest first, or follow them",
  description:
    "With `Accept: text/event-stream` a stream of those that live and, of the 100 that started last, those that were heard of in the last 24 hours, at most 200: `worker` for each, then `ready`, and `worker` again whenever one has changed (when it was last seen is told every 15 seconds at most), `left` for one that is not among them any more.",
  request: {
    query: pageQuery(100, 50).extend({
      worker: z.string().max(64).optional().meta({ description: "Only this one, whenever it was there." }),
    }),
  },
  responses: {
    200: {
      ...jsonAnswer(workerPageSchema, "A page of workers."),
      content: { "application/json": { schema: workerPageSchema }, "text/event-stream": { schema: z.string() } },
    },
  },
});

const getRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/workers/{worker}",
  summary: "Read a worker, the tasks that it holds and its newest events",
  request: { params: workerParam },
  responses: { 200: jsonAnswer(workerDetailSchema, "The worker.") },
});

/** Only who is there and has not ended can be asked for anything. */
function checkWish(workerId: string, { status }: DrainWish): void {
  if (status === "unknown") throw new AppError("not_found", `there is no worker ${workerId}`);
  if (status === "stopped") throw new AppError("conflict", `worker ${workerId} has stopped`);
}

/** Routes for workers, and on them. */
export function workerRoutes(deps: Deps) {
  const readWorkers = createWorkerReader(deps);
  return createRouter()
    .openapi(registerRoute, async (c) => {
      const worker = c.req.valid("json");
      const { queueUrl } = findPool(deps, worker.pool);
      await deps.workers.register(worker, deps.now());
      const { heartbeatMs, leaseMs, visibilityTimeoutSeconds } = timing;
      return c.json({ queueUrl, bucket: deps.bucketName, heartbeatMs, leaseMs, visibilityTimeoutSeconds }, 201);
    })
    .openapi(heartbeatRoute, async (c) =>
      c.json(await acceptHeartbeat(deps, c.req.valid("param").worker, c.req.valid("json")), 200),
    )
    .openapi(claimsRoute, async (c) =>
      c.json({ claims: await claimTasks(deps, c.req.valid("param").worker, c.req.valid("json").claims) }, 200),
    )
    .openapi(resultRoute, async (c) =>
      c.json(await reportResult(deps, c.req.valid("param").attempt, c.req.valid("json")), 200),
    )
    .openapi(resultsRoute, async (c) =>
      c.json({ results: await reportResults(deps, c.req.valid("json").results) }, 200),
    )
    .openapi(listRoute, async (c) => {
      const { worker, ...page } = c.req.valid("query");
      const readOne = worker === undefined ? undefined : () => readWorker(deps, worker);
      if (wantsEventStream(c)) return followWorkers(c, deps, readOne ?? readWorkers);
      const { workers, ...more } = readOne ? { workers: await readOne() } : await deps.workers.list(page);
      await noteSilent(deps, workers, { most: mostNotedForAnswer });
      return c.json({ workers: workers.map((worker) => viewWorker(worker, deps.now())), ...more }, 200);
    })
    .openapi(getRoute, async (c) => {
      const workerId = c.req.valid("param").worker;
      const found = await describeWorker(deps, workerId);
      if (!found) throw new AppError("not_found", `there is no worker ${workerId}`);
      const { worker, ...more } = found;
      return c.json(inOrder(workerDetailSchema, { ...viewWorker(worker, deps.now()), ...more }), 200);
    })
    .openapi(drainRoute, async (c) => {
      const { worker } = c.req.valid("param");
      const wish = await deps.workers.requestDrain(worker, c.var.principal.name, deps.now());
      checkWish(worker, wish);
      return c.json({ workerId: worker, status: "draining" as const }, 202);
    })
    .openapi(undrainRoute, async (c) => {
      const { worker } = c.req.valid("param");
      const wish = await deps.workers.revokeDrain(worker, c.var.principal.name, deps.now());
      checkWish(worker, wish);
      if (wish.status === "unchanged") {
        throw new AppError("conflict", `worker ${worker} cannot be undrained: nobody has asked it to drain`);
      }
      if (wish.status === "final") {
        throw new AppError("conflict", `worker ${worker} cannot be undrained, it ends anyway: ${wish.detail}`);
      }
      return c.json({ workerId: worker, status: "undrained" as const }, 202);
    });
}

/** The one worker of that name, if there is one. */
async function readWorker(deps: Deps, workerId: string): Promise<WorkerItem[]> {
  const found = await deps.workers.get(workerId);
  if (!found) return [];
  await noteSilent(deps, [found]);
  return [found];
}

/** Looks are shared and remembered for almost two seconds, so that one who looks each second sees each look in time. */
const pollMs = 1_000;

/** The workers as they change; those that are not among them any more are told of once. */
function followWorkers(c: Context<ApiEnv>, deps: Deps, readWorkers: () => Promise<WorkerItem[]>): Response {
  const news = createNews(deps.now);
  let seen: WorkerItem[] | undefined;
  const poll = async () => {
    const workers = await readWorkers();
    if (workers === seen) return { messages: [], ended: false };
    const isFirst = seen === undefined;
    seen = workers;
    const watched = new Set(workers.map(({ workerId }) => workerId));
    const left = news.names().filter((workerId) => !watched.has(workerId));
    for (const workerId of left) news.drop(workerId);
    const changed = workers
      .map((worker) => viewWorker(worker, deps.now()))
      .filter((worker) => news.isNew(worker.workerId, worker));
    const messages = [
      ...left.map((workerId) => ({ id: workerId, event: "left", data: JSON.stringify({ workerId }) })),
      ...changed.map((worker) => ({ id: worker.workerId, event: "worker", data: JSON.stringify(worker) })),
      ...(isFirst ? [{ id: "", event: "ready", data: "{}" }] : []),
    ];
    return { messages, ended: false, settled: true };
  };
  return streamPolls(c, deps, poll, pollMs);
}
