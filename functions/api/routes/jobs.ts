import type { Context } from "hono";
import * as z from "zod";
import {
  cancelledSchema,
  jobPageSchema,
  jobSchema,
  jobSpecAnswerSchema,
  retriedSchema,
  retryRequestSchema,
  submitJobSchema,
  submittedJobSchema,
} from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { type JobState, jobStates } from "../../../shared/domain/job-state.ts";
import type { JobDigest } from "../../../shared/repository/items.ts";
import type { JobListPage } from "../../../shared/repository/job-list.ts";
import type { Deps } from "../../deps.ts";
import { cancelJob } from "../../operations/cancel.ts";
import { retryTasks } from "../../operations/retry.ts";
import { submitJob } from "../../operations/submit.ts";
import type { ApiEnv } from "../auth.ts";
import { findJob } from "../find.ts";
import { inOrder } from "../in-order.ts";
import { createRouter, idempotencyHeaders, jobParam, jsonAnswer, jsonBody, pageQuery, securedRoute } from "../route.ts";
import { streamPolls, wantsEventStream } from "../sse.ts";
import { viewJob } from "../views.ts";

const submitRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs",
  summary: "Submit a job",
  request: {
    body: jsonBody(submitJobSchema),
    headers: idempotencyHeaders,
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
  description:
    "With `Accept: text/event-stream` the first page as a stream: `job` for each, and again whenever it has changed, `left` for one that is no longer what was asked for.",
  request: {
    query: pageQuery(100, 50).extend({
      status: z.enum(jobStates).optional(),
      name: z.string().max(64).optional().meta({ description: "Only jobs of this name." }),
      search: z.string().max(128).optional().meta({ description: "Only jobs whose id has this in it." }),
      by: z.string().max(128).optional().meta({ description: "Only jobs that this one submitted." }),
      since: z.iso.datetime({ offset: true }).optional().meta({ description: "Only jobs submitted then or later." }),
      until: z.iso.datetime({ offset: true }).optional().meta({ description: "Only jobs submitted before." }),
    }),
  },
  responses: {
    200: {
      ...jsonAnswer(jobPageSchema, "A page; with a filter it may be short though a cursor follows."),
      content: { "application/json": { schema: jobPageSchema }, "text/event-stream": { schema: z.string() } },
    },
  },
});

const getRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}",
  summary: "Read a job",
  request: { params: jobParam },
  responses: { 200: jsonAnswer(jobSchema, "The job.") },
});

const specRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/spec",
  summary: "Read what a job was submitted as",
  description: "All but its tasks, which are a list of their own. Of secrets it has the names.",
  request: { params: jobParam },
  responses: { 200: jsonAnswer(jobSpecAnswerSchema, "The job's file as it was resolved.") },
});

const cancelRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/cancel",
  summary: "Cancel a job",
  request: { params: jobParam },
  responses: { 202: jsonAnswer(cancelledSchema, "Its tasks are being ended, or it has ended already.") },
});

const retryRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/retry",
  summary: "Run tasks of a job again",
  description:
    "Ended tasks run again as new attempts in the same job: those named, or all that failed or timed out. What was skipped because of them begins again too.",
  request: {
    params: jobParam,
    body: { ...jsonBody(retryRequestSchema), required: false },
    headers: idempotencyHeaders,
  },
  responses: { 202: jsonAnswer(retriedSchema, "They are being queued.") },
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
      const { limit, cursor, since, until, ...filter } = c.req.valid("query");
      const page = { limit, matches: matchJobs(filter), sinceMs: readTime(since), untilMs: readTime(until) };
      if (wantsEventStream(c)) return followJobs(c, deps, page);
      const { jobs, ...more } = await deps.jobs.list({ ...page, cursor });
      return c.json(inOrder(jobPageSchema, { jobs: jobs.map(viewJob), ...more }), 200);
    })
    .openapi(getRoute, async (c) => {
      const job = viewJob(await findJob(deps, c.req.valid("param").job));
      return c.json(inOrder(jobSchema, job), 200);
    })
    .openapi(specRoute, async (c) => {
      const { job } = c.req.valid("param");
      await findJob(deps, job);
      const spec = await deps.jobs.getSpec(job);
      if (!spec) throw new AppError("not_found", `job ${job} has no file`);
      return c.json({ job, spec }, 200);
    })
    .openapi(cancelRoute, async (c) => {
      const { job } = c.req.valid("param");
      const detail = `cancelled by ${c.var.principal.name}`;
      return c.json({ job, status: await cancelJob(deps, job, { cause: "user", detail }) }, 202);
    })
    .openapi(retryRoute, async (c) => {
      const { job } = c.req.valid("param");
      const { tasks } = c.req.valid("json") ?? {};
      const idempotencyKey = c.req.valid("header")["idempotency-key"];
      const retried = await retryTasks(deps, {
        jobId: job,
        by: c.var.principal.name,
        ...(tasks ? { tasks } : {}),
        ...(idempotencyKey ? { idempotencyKey } : {}),
      });
      return c.json({ job, status: "retrying" as const, ...retried }, 202);
    });
}

interface JobFilter {
  status?: JobState | undefined;
  name?: string | undefined;
  search?: string | undefined;
  by?: string | undefined;
}

function readTime(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

/** What tells the jobs that are wanted; undefined where all are: no more is read then than is answered. */
function matchJobs(filter: JobFilter): ((job: JobDigest) => boolean) | undefined {
  if (Object.values(filter).every((value) => value === undefined)) return undefined;
  const { status, name, search, by } = filter;
  return (job) =>
    (status === undefined || job.state === status) &&
    (name === undefined || job.name === name) &&
    (search === undefined || job.jobId.includes(search.toLowerCase())) &&
    (by === undefined || job.submittedBy === by);
}

/** The list of jobs is looked at so often while somebody follows it. */
const followMs = 2_000;

/** The newest jobs as they change; the number of its newest event tells that one has. */
function followJobs(c: Context<ApiEnv>, deps: Deps, page: Omit<JobListPage, "cursor">): Response {
  let sent = new Map<string, JobDigest>();
  const poll = async () => {
    const { jobs } = await deps.jobs.list(page);
    const listed = new Map(jobs.map((job) => [job.jobId, job]));
    const oldest = jobs.length < page.limit ? "" : (jobs.at(-1)?.createdAt ?? "");
    // Older ones only make room for new ones.
    const left = [...sent.values()].filter(({ jobId, createdAt }) => !listed.has(jobId) && createdAt > oldest);
    const changed = jobs.filter(({ jobId, seq }) => sent.get(jobId)?.seq !== seq);
    sent = listed;
    const messages = [
      ...left.map(({ jobId }) => ({ id: jobId, event: "left", data: JSON.stringify({ job: jobId }) })),
      ...changed.map((job) => {
        return { id: job.jobId, event: "job", data: JSON.stringify(inOrder(jobSchema, viewJob(job))) };
      }),
    ];
    return { messages, ended: false, settled: true };
  };
  return streamPolls(c, deps, poll, followMs);
}
