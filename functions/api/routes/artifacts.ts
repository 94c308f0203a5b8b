import * as z from "zod";
import { artifactListSchema, liveArtifactSchema, liveRequestedSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { liveIdPattern } from "../../../shared/domain/live-artifact.ts";
import type { Artifact } from "../../../shared/domain/manifest.ts";
import type { Deps } from "../../deps.ts";
import { readLiveArtifact, requestLiveArtifact } from "../../operations/live-artifact.ts";
import { findTask } from "../find.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";

const downloadSeconds = 900;

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/artifacts",
  summary: "List a task's artifacts with links to fetch them",
  description: "`expired` are those that the job wanted to be kept for a time that is over.",
  request: { params: taskParam, query: z.object({ attempt: z.coerce.number().int().min(1).optional() }) },
  responses: { 200: jsonAnswer(artifactListSchema, "The artifacts of the newest attempt, or of the one named.") },
});

const requestRoute = securedRoute("submitter", {
  method: "post",
  path: "/v1/jobs/{job}/tasks/{task}/artifacts/live",
  summary: "Ask for what a running task has written so far",
  description: "Its worker hears of it within seconds. Who asks while a request is open joins it.",
  request: { params: taskParam },
  responses: { 202: jsonAnswer(liveRequestedSchema, "The request; look at it until it is answered.") },
});

const readRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/artifacts/live/{id}",
  summary: "See whether what a running task has written was stored",
  request: { params: taskParam.extend({ id: z.string().regex(liveIdPattern) }) },
  responses: { 200: jsonAnswer(liveArtifactSchema, "How far it has come; stored with a link to fetch it.") },
});

/** Routes on artifacts: of ended attempts, and of a running one. */
export function artifactRoutes(deps: Deps) {
  async function link({ key, ...artifact }: Artifact) {
    const options = { expiresSeconds: downloadSeconds, fileName: artifact.name };
    const expiresAt = new Date(deps.now() + downloadSeconds * 1000).toISOString();
    return { ...artifact, url: await deps.objects.presignGet(key, options), expiresAt };
  }
  const isExpired = ({ keptUntil }: Artifact) => keptUntil !== undefined && Date.parse(keptUntil) <= deps.now();

  return createRouter()
    .openapi(listRoute, async (c) => {
      const { job, task: name } = c.req.valid("param");
      const { task } = await findTask(deps, job, name);
      const attempt = c.req.valid("query").attempt ?? task.attempt;
      if (attempt > task.attempt) throw new AppError("not_found", `task ${name} has no attempt ${attempt}`);
      const { true: expired = [], false: kept = [] } = Object.groupBy(
        task.attempts[attempt - 1]?.artifacts ?? [],
        (artifact) => String(isExpired(artifact)) as "true" | "false",
      );
      const artifacts = await Promise.all(kept.map(link));
      const gone = expired.map(({ key: _key, ...artifact }) => artifact);
      return c.json({ attempt, status: task.state, artifacts, expired: gone }, 200);
    })
    .openapi(requestRoute, async (c) => {
      const { job, task: name } = c.req.valid("param");
      const { task } = await findTask(deps, job, name);
      const { id, attempt, untilMs } = await requestLiveArtifact(deps, task);
      return c.json({ id, attempt, until: new Date(untilMs).toISOString() }, 202);
    })
    .openapi(readRoute, async (c) => {
      const { job, task: name, id } = c.req.valid("param");
      const { task } = await findTask(deps, job, name);
      const progress = await readLiveArtifact(deps, task, id);
      if (progress.status !== "stored") return c.json(progress, 200);
      return c.json({ ...progress, artifact: await link(progress.artifact) }, 200);
    });
}
