import type { ShownArtifact } from "../../shared/api/artifact-schemas.ts";
import {
  type DeadLetter,
  type Job,
  type Task,
  type TaskBrief,
  type TaskSummary,
  type Worker,
  workerSchema,
} from "../../shared/api/schemas.ts";
import type { Artifact } from "../../shared/domain/manifest.ts";
import { stateNow } from "../../shared/domain/worker-state.ts";
import type { DeadLetterItem } from "../../shared/repository/dead-letters.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";

/** A digest as the API shows it. */
export function viewJob(digest: JobDigest): Job {
  return {
    job: digest.jobId,
    name: digest.name,
    pool: digest.pool,
    status: digest.state,
    total: digest.total,
    counts: digest.counts,
    createdAt: digest.createdAt,
    ...(digest.startedAt ? { startedAt: digest.startedAt } : {}),
    ...(digest.endedAt ? { endedAt: digest.endedAt } : {}),
    submittedBy: digest.submittedBy,
    abort: digest.abort,
    ...(digest.cancel ? { cancel: digest.cancel } : {}),
    reasons: digest.reasons ?? {},
    lastEvent: digest.seq,
  };
}

/** Needs that lists show of each pending task at most. */
const listedNeeds = 10;

/** Characters of a reason's detail in a brief view: ten thousand of them must fit into a page. */
const briefDetailLength = 200;

/** What of a task's item a brief view is made of. */
export const briefAttributes = ["task", "state", "attempt", "startedAt", "endedAt", "outcome", "waitingFor"] as const;

/** A task in brief. */
export function briefTask(task: Pick<TaskItem, (typeof briefAttributes)[number]>): TaskBrief {
  const { reason, ...brief } = viewStatus(task, listedNeeds);
  if (!reason) return brief;
  const { detail } = reason;
  const cut = detail.length > briefDetailLength ? `${detail.slice(0, briefDetailLength - 1)}…` : detail;
  return { ...brief, reason: { ...reason, detail: cut } };
}

/** A task as lists show it. */
export function summarizeTask(task: TaskItem, maxNeeds = listedNeeds): TaskSummary {
  const last = task.attempts.at(-1);
  const artifacts = last?.artifacts?.map(({ name, size }) => ({ name, size }));
  return {
    ...viewStatus(task, maxNeeds),
    slots: task.slots,
    ...(last ? { workerId: last.workerId } : {}),
    createdAt: task.createdAt,
    ...(artifacts && artifacts.length > 0 ? { artifacts } : {}),
    ...(last?.footprint ? { footprint: last.footprint } : {}),
  };
}

function viewStatus(task: Parameters<typeof briefTask>[0], maxNeeds: number): TaskBrief {
  const { outcome } = task;
  return {
    task: task.task,
    status: task.state,
    attempt: task.attempt,
    ...(task.startedAt ? { startedAt: task.startedAt } : {}),
    ...(task.endedAt ? { endedAt: task.endedAt } : {}),
    ...(outcome?.exitCode === undefined ? {} : { exitCode: outcome.exitCode }),
    ...(outcome?.warning ? { warning: true } : {}),
    ...(outcome?.reason ? { reason: outcome.reason } : {}),
    ...viewNeeds(task, maxNeeds),
  };
}

function viewNeeds(
  { waitingFor }: Pick<TaskItem, "waitingFor">,
  maxNeeds: number,
): Pick<TaskSummary, "waitingFor" | "waitingForCount"> {
  if (!waitingFor) return {};
  return { waitingFor: [...waitingFor].sort().slice(0, maxNeeds), waitingForCount: waitingFor.size };
}

/** An artifact without the keys of its objects. */
export function viewArtifact({ key: _key, list, ...artifact }: Artifact): ShownArtifact {
  return { ...artifact, ...(list ? { listed: list.members } : {}) };
}

/** A task with its attempts and the tasks that it needs. Lease tokens stay inside. */
export function viewTask(task: TaskItem, needs: readonly string[] = []): Task {
  return {
    ...summarizeTask(task, Number.POSITIVE_INFINITY),
    job: task.jobId,
    pool: task.pool,
    env: task.env,
    timeoutMs: task.timeoutMs,
    ...(needs.length > 0 ? { needs: [...needs] } : {}),
    ...(task.cancel ? { cancelRequestedAt: task.cancel.at } : {}),
    attempts: task.attempts.map(({ leaseToken: _token, artifacts, ...attempt }, index) => ({
      attempt: index + 1,
      ...attempt,
      ...(artifacts ? { artifacts: artifacts.map(viewArtifact) } : {}),
    })),
  };
}

/** A worker as lists show it. */
export function viewWorker(worker: WorkerItem, nowMs: number): Worker {
  const lastSeenAt = new Date(worker.lastSeenMs).toISOString();
  // The schema says what is shown, and in which order.
  return workerSchema.parse({ ...worker, state: stateNow(worker, nowMs), lastSeenAt });
}

/** Characters of a dead letter's body in a list: a page of them must fit into an answer. */
const listedBodyLength = 4096;

/** A dead letter as lists show it. */
export function summarizeDeadLetter(letter: DeadLetterItem): DeadLetter {
  return viewDeadLetter({ ...letter, body: letter.body.slice(0, listedBodyLength) });
}

/** A dead letter with all of its body that was kept. */
export function viewDeadLetter(letter: DeadLetterItem): DeadLetter {
  const { messageId, pool, body, bodyBytes, receiveCount, sentAt, firstReceivedAt, recordedAt, detail } = letter;
  return {
    id: messageId,
    pool,
    body,
    bodyBytes,
    receiveCount,
    sentAt,
    firstReceivedAt,
    recordedAt,
    detail,
    ...(letter.task ? { job: letter.task.jobId, task: letter.task.task } : {}),
    ...(letter.redrivenAt ? { redrivenAt: letter.redrivenAt } : {}),
  };
}
