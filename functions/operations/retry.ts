import { createHash, randomUUID } from "node:crypto";
import { AppError } from "../../shared/domain/errors.ts";
import { taskBucket } from "../../shared/domain/ids.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { limits } from "../../shared/domain/limits.ts";
import { isTerminalTaskState, type TaskState } from "../../shared/domain/task-state.ts";
import { maxAttempts } from "../../shared/domain/timing.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { holdImages } from "./image-blobs.ts";
import { getRetryList, planByTasks, putRetryList, type RetryList } from "./retry-list.ts";
import { workOnRetry } from "./work-on-retry.ts";

const raceTries = 10;
/** Names that a refusal lists at most. */
const listedNames = 5;
/** What is left to do of a retry after so long is done after the answer. */
const inlineMs = 3_000;

export interface RetryWish {
  jobId: string;
  by: string;
  /** Any tasks that have ended; undefined: all that failed or timed out. */
  tasks?: readonly string[];
  idempotencyKey?: string;
}

/** The tasks that are run again, and how many others that wait for them begin again with them. */
export interface Retried {
  tasks: string[];
  dependants: number;
}

/**
 * Asks for ended tasks to be run again, as new attempts in the same job. What was asked for is durable before the
 * answer; most retries are done by then too, so that whoever watches next finds the job running.
 */
export async function retryTasks(deps: Deps, wish: RetryWish): Promise<Retried> {
  const { jobId, by, idempotencyKey } = wish;
  const requestSha256 = hash(JSON.stringify(["retry", jobId, wish.tasks ?? null]));
  const nonce = idempotencyKey ? hash(JSON.stringify([by, idempotencyKey, requestSha256])) : randomUUID();
  for (let tries = 0; tries < raceTries; tries++) {
    const repeated = idempotencyKey && (await deps.jobs.findIdempotent(by, idempotencyKey, deps.now()));
    if (repeated && repeated.requestSha256 === requestSha256) return describe(await getRetryList(deps, jobId, nonce));
    if (repeated) {
      const message = `this Idempotency-Key was used for something else (${repeated.jobId}); use a new key`;
      throw new AppError("idempotency_mismatch", message);
    }
    const digest = await findRetryableJob(deps, jobId);
    const wanted = await readWanted(deps, digest, wish.tasks);
    // What they did counts first: a failure that ends the whole job by its abort policy must not do so afterwards.
    const uncounted = wanted.filter(({ outbox = [] }) => outbox.length > 0);
    if (uncounted.length > 0) {
      await deps.fold.foldTasks(jobId, uncounted);
      continue;
    }
    const list = await chooseTasks(deps, digest, wanted, wish.tasks !== undefined);
    const spec = await deps.jobs.getSpec(jobId);
    if (spec) await holdImages(deps, spec);
    await putRetryList(deps, jobId, nonce, list);
    const written = await deps.jobs.requestRetry({
      digest,
      nonce,
      by,
      tasks: list.chosen.map(([task]) => task),
      nowMs: deps.now(),
      timeoutMs: spec?.timeoutMs,
      idempotency: idempotencyKey ? { principal: by, key: idempotencyKey, requestSha256 } : undefined,
    });
    if (!written) continue;
    await begin(deps, jobId, list);
    return describe(list);
  }
  throw new AppError("unavailable", `job ${jobId} is changing too fast to be retried right now; try again`);
}

/** What a retry of these tasks would run again, or the same refusal; nothing is changed. */
export async function planRetry(deps: Deps, { jobId, tasks }: Pick<RetryWish, "jobId" | "tasks">): Promise<Retried> {
  const digest = await findRetryableJob(deps, jobId);
  return describe(await chooseTasks(deps, digest, await readWanted(deps, digest, tasks), tasks !== undefined));
}

async function findRetryableJob(deps: Deps, jobId: string): Promise<JobDigest> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest) throw new AppError("not_found", `there is no job ${jobId}; \`sluice ps\` lists the jobs`);
  const [chore] = await deps.jobs.getChores(jobId, ["expand", "retry", "cancel"]);
  const isEnding = digest.cancel !== undefined && !isTerminalJobState(digest.state);
  if (isEnding || chore?.kind === "cancel") {
    throw new AppError("conflict", `job ${jobId} is being cancelled; retry its tasks when it has ended`);
  }
  if (chore?.kind === "expand") {
    throw new AppError("conflict", `the tasks of ${jobId} are still being created; try again`);
  }
  if (chore) throw new AppError("conflict", `tasks of ${jobId} are being retried already; try again in a moment`);
  return digest;
}

function readWanted(deps: Deps, digest: JobDigest, names: readonly string[] | undefined): Promise<TaskItem[]> {
  return names ? readNamed(deps, digest, names) : readFailed(deps, digest);
}

/** `named`: all of them or none; else those that can be. */
async function chooseTasks(
  deps: Deps,
  digest: JobDigest,
  wanted: readonly TaskItem[],
  named: boolean,
): Promise<RetryList> {
  const spent = wanted.filter(({ attempt }) => attempt >= maxAttempts);
  const fresh = wanted.filter(({ attempt }) => attempt < maxAttempts);
  if (spent.length > 0 && (named || fresh.length === 0)) {
    refuse(
      spent.map(({ task }) => task),
      `had ${maxAttempts} attempts, as many as there may be`,
      "submit a new job",
    );
  }
  const chosen = new Map(fresh.map(({ task, rev }) => [task, rev]));
  const { plan } = await planByTasks(deps, digest, chosen, digest.cancel !== undefined);
  const [blocked] = plan.blocked;
  if (blocked && (named || plan.restart.length === 0)) {
    const message = `task ${blocked.task} needs ${blocked.need}, which did not complete; retry ${blocked.need}: what waits for it follows`;
    throw new AppError("conflict", message);
  }
  const restarted = new Set(plan.restart.map(({ task }) => task));
  const own = [...chosen].filter(([task]) => restarted.has(task));
  // They moved since they were read.
  if (own.length === 0) throw new AppError("unavailable", "the tasks are changing right now; try again");
  return { chosen: own, dependants: restarted.size - own.length };
}

async function readNamed(deps: Deps, digest: JobDigest, names: readonly string[]): Promise<TaskItem[]> {
  const { jobId, bucketCount } = digest;
  const unique = [...new Set(names)];
  const items = await deps.tasks.getMany(
    unique.map((task) => ({ jobId, task, bucket: taskBucket(task, bucketCount) })),
  );
  const found = new Map(items.map((item) => [item.task, item]));
  const unknown = unique.filter((name) => !found.has(name));
  if (unknown.length > 0) {
    const message = `job ${jobId} has no task ${listNames(unknown)}; \`sluice show ${jobId}\` lists them`;
    throw new AppError("not_found", message);
  }
  const going = items.filter(({ state }) => !isTerminalTaskState(state)).map(({ task }) => task);
  if (going.length > 0) refuse(going, "not ended yet", "only ended tasks are retried");
  return unique.flatMap((name) => found.get(name) ?? []);
}

async function readFailed(deps: Deps, digest: JobDigest): Promise<TaskItem[]> {
  const failed: TaskItem[] = [];
  for (const state of ["failed", "timed_out"] satisfies TaskState[]) {
    for (let cursor: string | undefined; ; ) {
      const page = await deps.tasks.list(digest, { limit: limits.pageSize, state, cursor });
      failed.push(...page.tasks);
      cursor = page.cursor;
      if (!cursor) break;
    }
  }
  if (failed.length > 0) return failed;
  const message = `no task of ${digest.jobId} failed or timed out; name the tasks that are to be run again`;
  throw new AppError("conflict", message);
}

function refuse(names: readonly string[], because: string, advice: string): never {
  const subject = names.length === 1 ? `task ${names[0]} has` : `tasks ${listNames(names)} have`;
  throw new AppError("conflict", `${subject} ${because}; ${advice}`);
}

function listNames(names: readonly string[]): string {
  const more = names.length - listedNames;
  return `${names.slice(0, listedNames).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Does what can be done before the answer. What fails here is taken up by the chore's own trigger, or by the sweep. */
async function begin(deps: Deps, jobId: string, list: RetryList): Promise<void> {
  try {
    const chore = await deps.jobs.getChore(jobId, "retry");
    if (chore) await workOnRetry(deps, chore, deps.now() + inlineMs);
    const digest = await deps.jobs.getDigest(jobId);
    if (!digest || !isTerminalJobState(digest.state)) return;
    // The first move that is counted opens the job again.
    const address = list.chosen
      .slice(0, 1)
      .map(([task]) => ({ jobId, task, bucket: taskBucket(task, digest.bucketCount) }));
    await deps.fold.foldTasks(jobId, await deps.tasks.getMany(address));
  } catch (error) {
    deps.log.warn({ err: error, jobId }, "the retry is stored, but not all of it is done yet; its chore goes on");
  }
}

function describe(list: RetryList): Retried {
  return { tasks: list.chosen.map(([task]) => task), dependants: list.dependants };
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
