import { z } from "zod";
import {
  cancelledSchema,
  jobPageSchema,
  jobSchema,
  submitJobSchema,
  submittedJobSchema,
} from "../../../shared/api/schemas.ts";
import { jobStates } from "../../../shared/domain/job-state.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { Deps } from "../../deps.ts";
import { cancelJob } from "../../operations/cancel.ts";
import { submitJob } from "../../operations/submit.ts";
import { findJob } from "../find.ts";
import { createRouter, jobParam, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";
import { viewJob } from "../views.ts";

const submitRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs",
  summary: "Submit a job",
  request: {
    body: jsonBody(submitJobSchema),
    headers: z.object({ "idempotency-key": z.string().min(1).max(limits.idempotencyKeyLength).optional() }),
  },
  responses: {
    200: jsonAnswer(submittedJobSchema, "The job an earlier request with this Idempotency-Key created."),
    201: jsonAnswer(submittedJobSchema, "The job was created."),
  },
});

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs",
  summary: "List jobs, newest first",
  request: {
    query: pageQuery(100, 50).extend({ status: z.enum(jobStates).optional(), name: z.string().max(64).optional() }),
  },
  responses: { 200: jsonAnswer(jobPageSchema, "A page; with a filter it may be short though a cursor follows.") },
});

const getRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}",
  summary: "Read a job",
  request: { params: jobParam },
  responses: { 200: jsonAnswer(jobSchema, "The job.") },
});

const cancelRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/cancel",
  summary: "Cancel a job",
  request: { params: jobParam },
  responses: { 202: jsonAnswer(cancelledSchema, "Its tasks are being ended, or it has ended already.") },
});

/** Routes on whole jobs. */
export function jobRoutes(deps: Deps) {
  return createRouter()
    .openapi(submitRoute, async (c) => {
      const { spec } = c.req.valid("json");
      const idempotencyKey = c.req.valid("header")["idempotency-key"];
      const submittedBy = c.var.principal.name;
      const { jobId, total, created } = await submitJob(deps, {
        spec,
        submittedBy,
        ...(idempotencyKey ? { idempotencyKey } : {}),
      });
      const url = new URL(`/v1/jobs/${jobId}`, c.req.url).toString();
      return c.json({ job: jobId, url, tasks: total, created }, created ? 201 : 200);
    })
    .openapi(listRoute, async (c) => {
      const { limit, cursor, status, name } = c.req.valid("query");
      const page = await deps.jobs.list({
        limit,
        ...(cursor ? { cursor } : {}),
        matches: (job) => (!status || job.state === status) && (!name || job.name === name),
      });
      return c.json({ jobs: page.jobs.map(viewJob), ...(page.cursor ? { cursor: page.cursor } : {}) }, 200);
    })
    .openapi(getRoute, async (c) => c.json(viewJob(await findJob(deps, c.req.valid("param").job)), 200))
    .openapi(cancelRoute, async (c) => {
      const { job } = c.req.valid("param");
      const detail = `cancelled by ${c.var.principal.name}`;
      return c.json({ job, status: await cancelJob(deps, job, { cause: "user", detail }) }, 202);
    });
}
