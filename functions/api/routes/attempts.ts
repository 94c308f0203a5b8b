import * as z from "zod";
import { attemptTimesPageSchema } from "../../../shared/api/schemas.ts";
import { taskBucket } from "../../../shared/domain/ids.ts";
import { limits } from "../../../shared/domain/limits.ts";
import type { JobDigest, TaskItem } from "../../../shared/repository/items.ts";
import type { Deps } from "../../deps.ts";
import { timeAttempts } from "../attempt-times.ts";
import { findJob } from "../find.ts";
import { inOrder } from "../in-order.ts";
import { createRouter, jobParam, jsonAnswer, pageQuery, securedRoute } from "../route.ts";

const namesSchema = z
  .string()
  .transform((text) => [...new Set(text.split(","))])
  .pipe(z.array(z.string().min(1).max(128)).max(limits.namedTasks))
  .optional()
  .meta({ description: `Only attempts of these tasks: at most ${limits.namedTasks} names, with commas between.` });

const listRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/attempts",
  summary: "List when and where a job's tasks ran",
  description: "Each attempt with its worker and the lengths of its phases, tasks in the order of their list.",
  request: {
    params: jobParam,
    query: pageQuery(limits.pageSize, 200).extend({ tasks: namesSchema }),
  },
  responses: { 200: jsonAnswer(attemptTimesPageSchema, "The attempts of a page of tasks.") },
});

/** Routes on the attempts of a whole job. */
export function attemptRoutes(deps: Deps) {
  return createRouter().openapi(listRoute, async (c) => {
    const { limit, cursor, tasks: names } = c.req.valid("query");
    const digest = await findJob(deps, c.req.valid("param").job);
    const page = names
      ? { tasks: await readNamed(deps, digest, names) }
      : await deps.tasks.listPart(digest, { limit: Math.min(limit, deps.limits.taskPage), cursor }, [
          "task",
          "attempts",
        ]);
    const { tasks, ...more } = page;
    return c.json(inOrder(attemptTimesPageSchema, { attempts: tasks.flatMap(timeAttempts), ...more }), 200);
  });
}

function readNamed(deps: Deps, { jobId, bucketCount }: JobDigest, names: readonly string[]): Promise<TaskItem[]> {
  return deps.tasks.getMany(names.map((task) => ({ jobId, task, bucket: taskBucket(task, bucketCount) })));
}
