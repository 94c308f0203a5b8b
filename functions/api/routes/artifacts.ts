import * as z from "zod";
import {
  type ArtifactFile,
  artifactFilePageSchema,
  artifactListSchema,
  liveArtifactSchema,
  liveRequestedSchema,
} from "../../../shared/api/artifact-schemas.ts";
import { type FolderChild, type ListedMember, listFolder } from "../../../shared/domain/artifact-list.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { liveIdPattern } from "../../../shared/domain/live-artifact.ts";
import type { Artifact } from "../../../shared/domain/manifest.ts";
import type { Deps } from "../../deps.ts";
import { readLiveArtifact, requestLiveArtifact } from "../../operations/live-artifact.ts";
import { findTask } from "../find.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";
import { viewArtifact } from "../views.ts";

const downloadSeconds = 900;
/** Linux takes no longer path in one call. */
const longestPath = 4096;

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/artifacts",
  summary: "List a task's artifacts with links to fetch them",
  description: "`expired` are those that the job wanted to be kept for a time that is over.",
  request: { params: taskParam, query: z.object({ attempt: z.coerce.number().int().min(1).optional() }) },
  responses: { 200: jsonAnswer(artifactListSchema, "The artifacts of the newest attempt, or of the one named.") },
});

const filesRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/artifacts/{name}/files",
  summary: "List what is in an artifact",
  description:
    "As its worker packed it, without the artifact itself: all members in the order of the archive, those whose path " +
    "begins with `prefix` or contains `find` (in any case), or with `folder` what lies right in that folder (empty: at " +
    "the top), each folder with the sum of what is below it. Of very many members the first are listed.",
  request: {
    params: taskParam.extend({ name: z.string().max(300) }),
    query: z.object({
      attempt: z.coerce.number().int().min(1).optional(),
      prefix: z.string().max(longestPath).default(""),
      find: z.string().max(200).default(""),
      folder: z.string().max(longestPath).optional(),
      limit: z.coerce.number().int().min(1).max(limits.artifactPage).default(limits.artifactPage),
      cursor: z
        .string()
        .regex(/^\d{1,9}$/)
        .optional(),
    }),
  },
  responses: { 200: jsonAnswer(artifactFilePageSchema, "A page of them.") },
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
  async function link(artifact: Artifact) {
    const options = { expiresSeconds: downloadSeconds, fileName: artifact.name };
    const expiresAt = new Date(deps.now() + downloadSeconds * 1000).toISOString();
    return { ...viewArtifact(artifact), url: await deps.objects.presignGet(artifact.key, options), expiresAt };
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
      return c.json({ attempt, status: task.state, artifacts, expired: expired.map(viewArtifact) }, 200);
    })
    .openapi(filesRoute, async (c) => {
      const { job, task: taskName, name } = c.req.valid("param");
      const { limit, cursor, ...query } = c.req.valid("query");
      const { task } = await findTask(deps, job, taskName);
      const attempt = query.attempt ?? task.attempt;
      const artifact = task.attempts[attempt - 1]?.artifacts?.find((candidate) => candidate.name === name);
      if (!artifact) throw new AppError("not_found", `attempt ${attempt} of ${taskName} has no artifact ${name}`);
      if (isExpired(artifact)) throw new AppError("not_found", `${name} expired on ${artifact.keptUntil}`);
      const { list, content } = artifact;
      const members = list && (await deps.artifactLists.get(list));
      if (!members || !content) throw new AppError("not_found", `what is in ${name} is not listed; fetch it to see`);
      const found = findFiles(members, query);
      const page = takePage(found, Number(cursor ?? 0), limit);
      return c.json({ attempt, name, content, listed: members.length, ...page }, 200);
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

/** What is asked for of a list, in its order. */
function findFiles(
  members: readonly ListedMember[],
  { prefix, find, folder }: { prefix: string; find: string; folder?: string | undefined },
): readonly FolderChild[] {
  const within = folder === undefined ? members : listFolder(members, folder.replace(/\/+$/, ""));
  const wanted = find.toLowerCase();
  return within.filter(({ path }) => path.startsWith(prefix) && path.toLowerCase().includes(wanted));
}

/** As many of them as an answer takes, and where the next page begins. */
function takePage(found: readonly FolderChild[], from: number, limit: number) {
  const files: ArtifactFile[] = [];
  let characters = 0;
  for (const { mtimeMs, ...file } of found.slice(from, from + limit)) {
    characters += file.path.length + (file.target?.length ?? 0);
    if (files.length > 0 && characters > limits.artifactPageCharacters) break;
    files.push({ ...file, ...(mtimeMs === undefined ? {} : { mtime: new Date(mtimeMs).toISOString() }) });
  }
  const next = from + files.length;
  return { files, ...(next < found.length ? { cursor: String(next) } : {}) };
}
