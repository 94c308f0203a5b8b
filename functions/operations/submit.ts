import { createHash } from "node:crypto";
import { AppError } from "../../shared/domain/errors.ts";
import { newJobId, taskBucket } from "../../shared/domain/ids.ts";
import { limits } from "../../shared/domain/limits.ts";
import { graphKey, taskListKey } from "../../shared/domain/object-keys.ts";
import type { JobSpec } from "../../shared/jobfile/job-spec.ts";
import type { JobDigest } from "../../shared/repository/items.ts";
import { isCreatedWhole } from "../../shared/repository/jobs.ts";
import { firstState } from "../../shared/repository/tasks.ts";
import type { Deps, Pool } from "../deps.ts";
import { serializeGraph } from "../graph-reader.ts";
import { dispatchTasks, findPool } from "./dispatch.ts";
import { holdImages } from "./image-blobs.ts";

/** Up to so many messages go in one call to the queue; whether they went is seen from the tasks that start. */
const oneCallOfMessages = 10;

export interface Submission {
  spec: JobSpec;
  submittedBy: string;
  idempotencyKey?: string;
}

/** The job a submit led to; `created` is false where an earlier one with the same key did. */
export interface Submitted {
  jobId: string;
  total: number;
  created: boolean;
}

/**
 * Writes a job and announces its tasks. What was written is durable before the answer: should the announcement fail,
 * the sweep makes good for it. A large job is only written down; the `expand` chore creates its tasks.
 */
export async function submitJob(deps: Deps, submission: Submission): Promise<Submitted> {
  const { spec, submittedBy, idempotencyKey } = submission;
  const pool = findPool(deps, spec.pool);
  checkTasks(deps, spec);
  const whole = isCreatedWhole(spec.tasks);
  const refusal = await deps.gate.admit(pool.name);
  const nowMs = deps.now();
  const jobId = newJobId(spec.name, nowMs);
  const requestSha256 = createHash("sha256").update(JSON.stringify(spec)).digest("hex");
  const graph = serializeGraph(spec.tasks);
  if (!whole || graph || refusal) {
    const repeated = idempotencyKey && (await deps.jobs.findIdempotent(submittedBy, idempotencyKey, nowMs));
    if (repeated) return answerRepeat(deps, pool, repeated, requestSha256, spec);
    if (refusal) throw refusal;
    if (!whole) await deps.objects.put(taskListKey(jobId), JSON.stringify(spec.tasks), "application/json");
    if (graph) await deps.objects.put(graphKey(jobId), graph, "application/json");
  }
  await holdImages(deps, spec);
  const outcome = await deps.jobs.create({
    jobId,
    spec,
    submittedBy,
    nowMs,
    ...(idempotencyKey ? { idempotency: { principal: submittedBy, key: idempotencyKey, requestSha256 } } : {}),
  });
  if (!outcome.created) return answerRepeat(deps, pool, outcome.existing, requestSha256, spec);
  if (whole) await announceTasks(deps, pool, outcome.digest, spec);
  return { jobId, total: spec.tasks.length, created: true };
}

function checkTasks({ limits: { tasksPerJob } }: Pick<Deps, "limits">, spec: JobSpec): void {
  if (spec.tasks.length > tasksPerJob) {
    throw new AppError(
      "too_many_tasks",
      `the job has ${spec.tasks.length} tasks; a job has at most ${tasksPerJob} here; split it into several`,
    );
  }
  const problems = spec.tasks.flatMap((task, index) => {
    const bytes = Buffer.byteLength(JSON.stringify(task));
    if (bytes <= limits.taskBytes) return [];
    return [{ path: `spec.tasks[${index}]`, message: `takes ${bytes} bytes; a task has at most ${limits.taskBytes}` }];
  });
  if (problems.length === 0) return;
  const detail = `${problems.length} of the job's tasks are too large; put what they share into the job's env`;
  throw new AppError("invalid_job", detail, { details: { problems } });
}

async function answerRepeat(
  deps: Deps,
  pool: Pool,
  existing: { jobId: string; requestSha256: string },
  requestSha256: string,
  spec: JobSpec,
): Promise<Submitted> {
  if (existing.requestSha256 !== requestSha256) {
    throw new AppError(
      "idempotency_mismatch",
      `this Idempotency-Key was used for another job (${existing.jobId}); use a new key for a new job`,
    );
  }
  const digest = await deps.jobs.getDigest(existing.jobId);
  // The first request may have ended between writing the job and announcing it: no need to leave that to the sweep.
  const untouched = digest && digest.counts.queued + digest.counts.pending === digest.total;
  if (untouched && digest.dispatchPending) await announceTasks(deps, pool, digest, spec);
  return { jobId: existing.jobId, total: spec.tasks.length, created: false };
}

async function announceTasks(deps: Deps, pool: Pool, digest: JobDigest, spec: JobSpec): Promise<void> {
  const { jobId, bucketCount } = digest;
  const ready = spec.tasks.filter((task) => firstState(task) === "queued");
  const tasks = ready.map(({ name, slots }) => ({ jobId, task: name, bucket: taskBucket(name, bucketCount), slots }));
  try {
    await dispatchTasks(pool, tasks);
    if (tasks.length > oneCallOfMessages) await deps.jobs.noteDispatched(digest);
  } catch (error) {
    deps.log.warn({ err: error, jobId }, "the job is stored, but not all its tasks were announced; the sweep will");
  }
}
