import * as z from "zod";
import {
  cancelledSchema,
  retriedSchema,
  taskBriefPageSchema,
  taskPageSchema,
  taskSchema,
  whySchema,
} from "../../../shared/api/schemas.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { taskStates } from "../../../shared/domain/task-state.ts";
import type { Deps } from "../../deps.ts";
import { cancelTask } from "../../operations/cancel.ts";
import { retryTasks } from "../../operations/retry.ts";
import { explainWhy } from "../../operations/why.ts";
import { findJob, findTask } from "../find.ts";
import { inOrder } from "../in-order.ts";
import {
  createRouter,
  idempotencyHeaders,
  jobParam,
  jsonAnswer,
  pageQuery,
  securedRoute,
  taskParam,
} from "../route.ts";
import { briefAttributes, briefTask, summarizeTask, viewTask } from "../views.ts";

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks",
  summary: "List a job's tasks",
  request: {
    params: jobParam,
    query: pageQuery(limits.pageSize, 200).extend({ status: z.enum(taskStates).optional() }),
  },
  responses: { 200: jsonAnswer(taskPageSchema, "A page of tasks.") },
});

const briefRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/task-briefs",
  summary: "List a job's tasks in brief",
  description: "For who watches the whole job: less of each task, in larger pages. Long details of reasons are cut.",
  request: { params: jobParam, query: pageQuery(limits.briefsPage, 1_000) },
  responses: { 200: jsonAnswer(taskBriefPageSchema, "A page of tasks.") },
});

const getRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}",
  summary: "Read a task with its attempts",
  request: { params: taskParam },
  responses: { 200: jsonAnswer(taskSchema, "The task.") },
});

const cancelRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/tasks/{task}/cancel",
  summary: "Cancel a task",
  request: { params: taskParam },
  responses: { 202: jsonAnswer(cancelledSchema, "It is being ended, or has ended already.") },
});

const whyRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/why",
  summary: "Say why a task waits, where it runs, or why it ended so",
  description:
    "`code` is stable, `summary` is for people, `facts` is the evidence, each of a `kind`; leave out kinds you do not know.",
  request: { params: taskParam },
  responses: { 200: jsonAnswer(whySchema, "The answer, with its evidence.") },
});

const retryRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/tasks/{task}/retry",
  summary: "Run a task again",
  request: { params: taskParam, headers: idempotencyHeaders },
  responses: { 202: jsonAnswer(retriedSchema, "It is being queued, or waits for what it needs.") },
});

/** Routes on tasks: list, read, cancel, retry. */
export function taskRoutes(deps: Deps) {
  return createRouter()
    .openapi(listRoute, async (c) => {
      const { limit, cursor, status } = c.req.valid("query");
      const digest = await findJob(deps, c.req.valid("param").job);
      const { tasks, ...more } = await deps.tasks.list(digest, {
        limit: Math.min(limit, deps.limits.taskPage),
        cursor,
        ...(status ? { state: status } : {}),
      });
      const page = { tasks: tasks.map((task) => summarizeTask(task)), ...more };
      return c.json(inOrder(taskPageSchema, page), 200);
    })
    .openapi(briefRoute, async (c) => {
      const page = c.req.valid("query");
      const digest = await findJob(deps, c.req.valid("param").job);
      const { tasks, ...more } = await deps.tasks.listPart(digest, page, briefAttributes);
      return c.json(inOrder(taskBriefPageSchema, { tasks: tasks.map(briefTask), ...more }), 200);
    })
    .openapi(getRoute, async (c) => {
      const { job, task: name } = c.req.valid("param");
      const { digest, task } = await findTask(deps, job, name);
      const needs = digest.graph ? (await deps.graphs.get(job)).needs.get(name) : undefined;
      return c.json(inOrder(taskSchema, viewTask(task, needs)), 200);
    })
    .openapi(cancelRoute, async (c) => {
      const { job, task: name } = c.req.valid("param");
      const { task } = await findTask(deps, job, name);
      const at = new Date(deps.now()).toISOString();
      const detail = `cancelled by ${c.var.principal.name}`;
      return c.json({ job, task: name, status: await cancelTask(deps, task, { cause: "user", detail, at }) }, 202);
    })
    .openapi(whyRoute, async (c) => {
      const { job, task } = c.req.valid("param");
      return c.json(inOrder(whySchema, await explainWhy(deps, await findJob(deps, job), task)), 200);
    })
    .openapi(retryRoute, async (c) => {
      const { job, task } = c.req.valid("param");
      const idempotencyKey = c.req.valid("header")["idempotency-key"];
      const by = c.var.principal.name;
      const wish = { jobId: job, by, tasks: [task], ...(idempotencyKey ? { idempotencyKey } : {}) };
      return c.json({ job, status: "retrying" as const, ...(await retryTasks(deps, wish)) }, 202);
    });
}
