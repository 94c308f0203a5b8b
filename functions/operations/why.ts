import type { Why } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { taskBucket } from "../../shared/domain/ids.ts";
import { attemptLogPrefix, parseStepFolder, taskListKey } from "../../shared/domain/object-keys.ts";
import { isTerminalTaskState, type TerminalTaskState } from "../../shared/domain/task-state.ts";
import { timing } from "../../shared/domain/timing.ts";
import {
  type EndedEvidence,
  explainTask,
  type RunningEvidence,
  type WaitingEvidence,
  type WhyEvidence,
  type WhyPool,
} from "../../shared/domain/why.ts";
import type { FactOf } from "../../shared/domain/why-facts.ts";
import { stateNow } from "../../shared/domain/worker-state.ts";
import type { TaskSpec } from "../../shared/jobfile/job-spec.ts";
import { dispatchDueMs, nextCheck } from "../../shared/repository/digest-items.ts";
import type { AttemptRecord, CancelRequest, JobDigest, TaskItem } from "../../shared/repository/items.ts";
import { firstState } from "../../shared/repository/tasks.ts";
import type { Deps } from "../deps.ts";
import { createLogReader } from "./read-logs.ts";

/** What is looked at for one answer at most: beyond that it says "more than". */
const jobsRead = 500;
const workersRead = 1000;
/** Workers that stopped are looked through for the last that was seen, this many of the newest. */
const pastWorkersRead = 100;
/** Unmet needs that are listed; the others are counted. */
const needsListed = 20;
const logLines = 20;
const logBytes = 4 * 1024;

/** Answers for any task of a job why it waits, where it runs, or why it ended so. */
export async function explainWhy(deps: Deps, digest: JobDigest, taskName: string): Promise<Why> {
  const { jobId } = digest;
  const found = await findTaskOrPlace(deps, digest, taskName);
  const nowMs = deps.now();
  const status = found.task ? found.task.state : found.state;
  const common = { nowMs, task: taskName, attempts: describeAttempts(found.task?.attempts ?? []) };
  const evidence = found.task
    ? await gatherEvidence(deps, digest, found.task, common)
    : {
        ...common,
        phase: "unwritten" as const,
        cancel: cancelOf(digest, undefined, nowMs),
        expansion: found.expansion,
      };
  return { job: jobId, task: taskName, status, ...explainTask(evidence), at: new Date(nowMs).toISOString() };
}

type Common = Pick<WhyEvidence, "nowMs" | "task" | "attempts">;
type Found = { task: TaskItem } | { task?: undefined; state: "pending" | "queued"; expansion: FactOf<"expansion"> };

/** The task or, while its job is being written down, how far that has come. */
async function findTaskOrPlace(deps: Deps, digest: JobDigest, taskName: string): Promise<Found> {
  const { jobId, bucketCount, total } = digest;
  const read = () => deps.tasks.get(jobId, taskBucket(taskName, bucketCount), taskName);
  const task = await read();
  if (task) return { task };
  const chore = await deps.jobs.getChore(jobId, "expand");
  const spec = chore && (await findSpec(deps, jobId, taskName));
  if (spec) return { state: firstState(spec), expansion: { written: Number(chore.cursor), total } };
  // It may have been written between the two reads.
  const written = await read();
  if (written) return { task: written };
  throw new AppError("not_found", `job ${jobId} has no task ${taskName}; \`sluice show ${jobId}\` lists them`);
}

async function findSpec(deps: Deps, jobId: string, taskName: string): Promise<TaskSpec | undefined> {
  const stored = await deps.objects.get(taskListKey(jobId));
  if (!stored) return undefined;
  const tasks = JSON.parse(Buffer.from(stored).toString("utf8")) as TaskSpec[];
  return tasks.find(({ name }) => name === taskName);
}

function gatherEvidence(deps: Deps, digest: JobDigest, task: TaskItem, common: Common): Promise<WhyEvidence> {
  if (isTerminalTaskState(task.state)) return gatherEnded(deps, task, task.state, common);
  if (task.lease) return gatherRunning(deps, digest, task, task.lease, common);
  return gatherWaiting(deps, digest, task, common);
}

async function gatherWaiting(deps: Deps, digest: JobDigest, task: TaskItem, common: Common): Promise<WaitingEvidence> {
  const [pool, queue, needs, expanding] = await Promise.all([
    readPool(deps, task.pool, common.nowMs),
    readQueue(deps, digest, task),
    task.state === "pending" ? readNeeds(deps, digest, task) : undefined,
    digest.dispatchPending ? undefined : deps.jobs.getChore(digest.jobId, "expand"),
  ]);
  // What an attempt gave back was announced before; a first message is known to be sent once its job says so.
  const sent = task.attempt > 0 || !(digest.dispatchPending || expanding);
  const againAtMs = sent ? Date.parse(nextCheck(digest).at) : Date.parse(digest.createdAt) + dispatchDueMs;
  const { announce } = task;
  return {
    ...common,
    phase: "waiting",
    cancel: cancelOf(digest, task, common.nowMs),
    slots: task.slots,
    sinceMs: Date.parse(task.queuedAt ?? task.createdAt),
    needs,
    // The first announcement is that long after the task may be claimed; later ones lie behind that anyhow.
    retryAtMs: announce ? announce.atMs - announce.afterMs : 0,
    pool,
    queue,
    message: { sent, againAtMs: announce?.atMs ?? againAtMs },
  };
}

/** Where the tasks are that a pending task waits for: one that has completed may not have been noted yet. */
async function readNeeds(
  deps: Deps,
  { jobId, bucketCount }: JobDigest,
  { waitingFor }: TaskItem,
): Promise<WaitingEvidence["needs"]> {
  const names = [...(waitingFor ?? [])].sort();
  const needs = await deps.tasks.getMany(names.map((task) => ({ jobId, task, bucket: taskBucket(task, bucketCount) })));
  const stateOf = new Map(needs.map(({ task, state }) => [task, state]));
  // One that is not there yet belongs to a job that is still being written down.
  const unmet = names.flatMap((task): FactOf<"need">[] => {
    const status = stateOf.get(task) ?? "queued";
    return status === "completed" ? [] : [{ task, status }];
  });
  // Those first that keep the task from ever starting.
  unmet.sort((a, b) => Number(isTerminalTaskState(b.status)) - Number(isTerminalTaskState(a.status)));
  return { unmet: unmet.length, first: unmet.slice(0, needsListed) };
}

async function readPool(deps: Deps, pool: string, nowMs: number): Promise<WhyPool> {
  const { items, more } = await deps.workers.listActive(pool, workersRead);
  const workers = items.map(({ drainRequestedAt, ...worker }) => ({
    ...worker,
    drainRequested: drainRequestedAt !== undefined,
  }));
  const newest = (list: readonly { lastSeenMs: number }[]) =>
    list.length === 0 ? undefined : Math.max(...list.map(({ lastSeenMs }) => lastSeenMs));
  const lastSeenMs = newest(workers);
  if (lastSeenMs !== undefined && nowMs - lastSeenMs <= timing.workerSilentMs)
    return { pool, workers, more, lastSeenMs };
  // None lives: one that stopped in order may have been the last.
  const past = await deps.workers.list({ limit: pastWorkersRead });
  return {
    pool,
    workers,
    more,
    lastSeenMs: newest([...workers, ...past.workers.filter((worker) => worker.pool === pool)]),
  };
}

async function readQueue(deps: Deps, digest: JobDigest, task: TaskItem): Promise<FactOf<"queue">> {
  const { items, more } = await deps.jobs.listBefore(digest, jobsRead);
  const waiting = items.filter(({ counts }) => counts.queued > 0);
  return {
    tasksBefore: waiting.reduce((sum, { counts }) => sum + counts.queued, 0),
    jobsBefore: waiting.length,
    more,
    sameJob: Math.max(0, digest.counts.queued - (task.state === "queued" ? 1 : 0)),
  };
}

async function gatherRunning(
  deps: Deps,
  digest: JobDigest,
  task: TaskItem,
  lease: NonNullable<TaskItem["lease"]>,
  common: Common,
): Promise<RunningEvidence> {
  const { workerId, untilMs } = lease;
  const [worker, step] = await Promise.all([deps.workers.get(workerId), readRunningStep(deps, task)]);
  const claimedAt = task.attempts.at(-1)?.claimedAt ?? task.createdAt;
  return {
    ...common,
    phase: "running",
    cancel: cancelOf(digest, task, common.nowMs),
    lease: { attempt: task.attempt, workerId, untilMs, claimedAtMs: Date.parse(claimedAt) },
    worker: worker && {
      workerId,
      host: worker.host,
      state: stateNow(worker, common.nowMs),
      lastSeenAt: new Date(worker.lastSeenMs).toISOString(),
    },
    step,
  };
}

/** The newest step whose log has begun: a step that prints nothing is not seen from here. */
async function readRunningStep(deps: Deps, { jobId, task, attempt }: TaskItem): Promise<FactOf<"step"> | undefined> {
  const [folders, spec] = await Promise.all([
    deps.objects.listFolders(attemptLogPrefix(jobId, task, attempt)),
    deps.jobs.getSpec(jobId),
  ]);
  const step = folders.map(parseStepFolder).findLast((number) => number !== undefined);
  const name = step === undefined ? undefined : spec?.steps[step - 1]?.name;
  return step === undefined || name === undefined ? undefined : { step, name, steps: spec?.steps.length ?? step };
}

async function gatherEnded(
  deps: Deps,
  task: TaskItem,
  status: TerminalTaskState,
  common: Common,
): Promise<EndedEvidence> {
  // A task may have ended while it waited: then no attempt is to blame.
  const newest = task.attempts.at(-1);
  const last = newest?.endedAt === task.endedAt && newest?.outcome?.state === status ? newest : undefined;
  const reached = last?.steps?.filter(({ startedAt }) => startedAt !== undefined) ?? [];
  const ending =
    reached.find(({ exitCode = 0 }) => exitCode !== 0) ??
    reached.find(({ outOfMemory }) => outOfMemory) ??
    reached.at(-1);
  const wantsLog = status !== "completed" && last !== undefined;
  return {
    ...common,
    phase: "ended",
    cancel: undefined,
    status,
    waited: last === undefined,
    reason: task.outcome?.reason,
    step:
      ending && (status !== "completed" || ending.outOfMemory)
        ? {
            step: ending.index,
            name: ending.name,
            steps: last?.steps?.length ?? ending.index,
            ...(ending.exitCode === undefined ? {} : { exitCode: ending.exitCode }),
            ...(ending.outOfMemory ? { outOfMemory: true } : {}),
          }
        : undefined,
    log: wantsLog ? await readLastLines(deps, task, ending?.index) : undefined,
  };
}

/** The end of the log of the step that ended the attempt; of all steps where none is known to have. */
async function readLastLines(
  deps: Deps,
  { jobId, task, attempt }: TaskItem,
  step: number | undefined,
): Promise<FactOf<"log">> {
  const reader = createLogReader(deps, { jobId, task, step });
  const { entries } = await reader.readTail(attempt, logLines);
  return {
    attempt,
    lines: boundLines(
      entries.map(({ line: { step, at, stream, text } }) => {
        return { at, stream, text, ...(step === undefined ? {} : { step }) };
      }),
    ),
  };
}

type LogFactLine = FactOf<"log">["lines"][number];

/** The last of these lines that fit; of a line that is too long alone, its end. */
function boundLines(lines: readonly Omit<LogFactLine, "cut">[]): LogFactLine[] {
  const kept: LogFactLine[] = [];
  let left = logBytes;
  for (const { text, ...line } of lines.toReversed()) {
    const bytes = Buffer.from(text);
    if (bytes.length > left && kept.length > 0) break;
    const cut = bytes.length > left;
    // A character that is cut in two at the beginning is left out.
    const end = cut
      ? bytes
          .subarray(-left)
          .toString("utf8")
          .replace(/^\uFFFD+/, "")
      : text;
    kept.push({ ...line, text: end, ...(cut ? { cut } : {}) });
    left -= Math.min(bytes.length, left);
  }
  return kept.reverse();
}

/** The request that this task ends by: its own, its job's, or its job's timeout though nobody has acted on it yet. */
function cancelOf(digest: JobDigest, task: TaskItem | undefined, nowMs: number): CancelRequest | undefined {
  const asked = task?.cancel ?? digest.cancel;
  if (asked || digest.timeoutAt === undefined || Date.parse(digest.timeoutAt) > nowMs) return asked;
  return { cause: "job_timeout", detail: "the job's timeout has passed", at: digest.timeoutAt };
}

function describeAttempts(records: readonly AttemptRecord[]): FactOf<"attempt">[] {
  return records.map(({ workerId, claimedAt, endedAt, outcome }, index) => ({
    attempt: index + 1,
    workerId,
    claimedAt,
    ...(endedAt === undefined ? {} : { endedAt }),
    ...(outcome?.state === undefined ? {} : { status: outcome.state }),
    ...(outcome?.exitCode === undefined ? {} : { exitCode: outcome.exitCode }),
    ...(outcome?.reason === undefined ? {} : { reason: outcome.reason }),
  }));
}
