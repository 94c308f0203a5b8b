import { AppError } from "../../shared/domain/errors.ts";
import { taskBucket } from "../../shared/domain/ids.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";

/** The job's digest, or "not found". */
export async function findJob(deps: Pick<Deps, "jobs">, jobId: string): Promise<JobDigest> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest) throw new AppError("not_found", `there is no job ${jobId}; \`sluice ps\` lists the jobs`);
  return digest;
}

/** The task of a job, or "not found". */
export async function findTask(
  deps: Pick<Deps, "jobs" | "tasks">,
  jobId: string,
  taskName: string,
): Promise<{ digest: JobDigest; task: TaskItem }> {
  const digest = await findJob(deps, jobId);
  const task = await deps.tasks.get(jobId, taskBucket(taskName, digest.bucketCount), taskName);
  if (task) return { digest, task };
  if (await deps.jobs.getChore(jobId, "expand")) {
    throw new AppError(
      "conflict",
      `the tasks of ${jobId} are still being created, ${taskName} is not there yet; try again`,
    );
  }
  throw new AppError("not_found", `job ${jobId} has no task ${taskName}; \`sluice show ${jobId}\` lists them`);
}
