import type { Announcement } from "../domain/announcement.ts";
import type { AttemptKey } from "../domain/ids.ts";
import type { LiveRequest } from "../domain/live-artifact.ts";
import type { UserRetryPolicy } from "../domain/retry-policy.ts";
import { isTerminalTaskState } from "../domain/task-state.ts";
import { timing } from "../domain/timing.ts";
import type { TaskSpec } from "../jobfile/job-spec.ts";
import { listClaimedBetween } from "./claimed-between.ts";
import { endPending, meetNeeds, waitAgain } from "./graph-moves.ts";
import type { CancelRequest, TaskItem, TaskTransition } from "./items.ts";
import { dueEntry, taskKey } from "./keys.ts";
import { requestLive } from "./live-requests.ts";
import { foldDueMs, type TaskAddress, type TaskMove } from "./move-task.ts";
import { getItems, type Table } from "./table.ts";
import { listTasks, type TaskAttribute, type TaskListPage } from "./task-list.ts";
import {
  type AttemptEnd,
  claimTask,
  endAttempt,
  endUnclaimed,
  type LeaseProof,
  type LeftNote,
  noteLeft,
  noteTaskAnnounced,
  noteTaskDue,
  noteWatched,
  type Requeue,
  type Revival,
  renewLease,
  requestTaskCancel,
  requeueTask,
  reviveTask,
  type TaskClaim,
  type UnclaimedEnd,
} from "./task-moves.ts";

/** Reads and moves tasks. Each move is one conditional write on one task item. */
export interface TaskRepository {
  get(jobId: string, bucket: number, task: string): Promise<TaskItem | undefined>;
  getMany(keys: readonly TaskAddress[]): Promise<TaskItem[]>;
  /** One page of a job's tasks, bucket by bucket and by name within each; with a filter it may be short though more follow. */
  list(
    job: { jobId: string; bucketCount: number },
    page: TaskListPage,
  ): Promise<{ tasks: TaskItem[]; cursor?: string }>;
  /** The same, only with what is named of each: `task` always belongs to it. */
  listPart<Attribute extends TaskAttribute>(
    job: { jobId: string; bucketCount: number },
    page: TaskListPage,
    attributes: readonly (Attribute | "task")[],
  ): Promise<{ tasks: Pick<TaskItem, Attribute | "task">[]; cursor?: string }>;
  /** Tasks that a worker claimed between two times and still holds, as far as the sweep has not looked at them yet. */
  listClaimedBetween(workerId: string, fromMs: number, toMs: number): Promise<TaskItem[]>;
  /** Gives a queued task, or one whose lease has run out, to a worker as its next attempt. */
  claim(task: TaskItem, claim: TaskClaim): Promise<TaskMove>;
  /** Renews the lease of a running attempt; refused where the token is not the lease's. */
  renewLease(key: AttemptKey, leaseToken: string, nowMs: number): Promise<TaskMove>;
  /** Ends the running attempt and with it the task. */
  endAttempt(key: AttemptKey, proof: LeaseProof, end: AttemptEnd, nowMs: number): Promise<TaskMove>;
  /** Puts the task of a running attempt back to `queued`: released unspent, or failed by infrastructure (counted). */
  requeue(key: AttemptKey, proof: LeaseProof, requeue: Requeue): Promise<TaskMove>;
  /** Notes what an attempt left that was given back before; refused where it was not. */
  noteLeft(key: AttemptKey, leaseToken: string, note: LeftNote): Promise<TaskMove>;
  /** Ends a task that no worker holds. */
  endUnclaimed(task: TaskItem, end: UnclaimedEnd, nowMs: number): Promise<TaskMove>;
  /** Lets an ended task begin again. Refused where it has moved since it was read, or has not ended. */
  revive(task: TaskItem, nowMs: number, revival?: Revival): Promise<TaskMove>;
  /** Lets a pending task wait again for needs that are retried; false where it or one of them has moved since. */
  waitAgain(task: TaskItem, needs: readonly TaskItem[]): Promise<boolean>;
  /** Notes that tasks which a pending task waits for have completed; it is queued with the last of them. */
  meetNeeds(task: TaskItem, completed: ReadonlySet<string>, nowMs: number): Promise<TaskMove>;
  /** Ends a pending task because one that it needs did not complete. */
  endPending(task: TaskItem, end: UnclaimedEnd, nowMs: number): Promise<TaskMove>;
  /** Notes on a running task that it has to end; its worker hears of it at its next heartbeat. */
  requestCancel(task: TaskItem, cancel: CancelRequest): Promise<TaskMove>;
  /** Lets the sweep look at a task again at a time, or (undefined) never; refused where it has moved since. */
  noteDue(task: TaskItem, dueAtMs: number | undefined): Promise<TaskMove>;
  /** Notes when a waiting task that was just announced is announced again; refused where it has moved since. */
  noteAnnounced(task: TaskItem, next: Announcement): Promise<TaskMove>;
  /** Notes on a running task that somebody wants what it has written so far. */
  requestLive(task: TaskItem, request: LiveRequest): Promise<{ noted: boolean; task?: TaskItem }>;
  /** Notes that somebody follows the task's log until then. */
  noteWatched(task: TaskAddress, untilMs: number): Promise<void>;
}

/** The state a task begins in: it waits for the tasks it needs, if any. */
export function firstState(spec: TaskSpec): "pending" | "queued" {
  return spec.needs && spec.needs.length > 0 ? "pending" : "queued";
}

/** A new task item in its first state, with the moves that its digest has not counted yet (normally none). */
export function newTaskItem(
  spec: TaskSpec,
  job: Pick<TaskItem, "jobId" | "pool" | "bucket" | "createdAt"> & { retry?: UserRetryPolicy | undefined },
  transitions: TaskTransition[] = [],
): Record<string, unknown> {
  const last = transitions.at(-1);
  const { needs = [] } = spec;
  const item: TaskItem = {
    jobId: job.jobId,
    task: spec.name,
    bucket: job.bucket,
    pool: job.pool,
    slots: spec.slots,
    timeoutMs: spec.timeoutMs ?? timing.defaultTaskTimeoutMs,
    env: spec.env,
    state: last?.to ?? firstState(spec),
    rev: 1 + transitions.length,
    foldedRev: 1,
    attempt: 0,
    attempts: [],
    infrastructureFailures: 0,
    ...(job.retry ? { retry: job.retry } : {}),
    ...(needs.length > 0 && !last ? { waitingFor: new Set(needs) } : {}),
    createdAt: job.createdAt,
  };
  const folded = {
    ...(last ? { outbox: transitions, unfolded: transitions.length, endedAt: last.at } : {}),
    ...(last?.reason && isTerminalTaskState(last.to) ? { outcome: { state: last.to, reason: last.reason } } : {}),
    ...(last ? dueEntry(spec.name, Date.parse(last.at) + foldDueMs) : {}),
  };
  return { ...taskKey(job.jobId, job.bucket, spec.name), type: "task", ...item, ...folded };
}

export function createTaskRepository(table: Table): TaskRepository {
  return {
    async get(jobId, bucket, task) {
      const [item] = await getItems(table, [taskKey(jobId, bucket, task)]);
      return item as TaskItem | undefined;
    },
    async getMany(keys) {
      const items = await getItems(
        table,
        keys.map((key) => taskKey(key.jobId, key.bucket, key.task)),
      );
      return items as unknown as TaskItem[];
    },
    list: (job, page) => listTasks(table, job, page),
    listPart: (job, page, attributes) => listTasks(table, job, page, attributes),
    listClaimedBetween: (workerId, fromMs, toMs) => listClaimedBetween(table, workerId, fromMs, toMs),
    claim: (task, claim) => claimTask(table, task, claim),
    renewLease: (key, leaseToken, nowMs) => renewLease(table, key, leaseToken, nowMs),
    endAttempt: (key, proof, end, nowMs) => endAttempt(table, key, proof, end, nowMs),
    requeue: (key, proof, requeue) => requeueTask(table, key, proof, requeue),
    noteLeft: (key, leaseToken, note) => noteLeft(table, key, leaseToken, note),
    endUnclaimed: (task, end, nowMs) => endUnclaimed(table, task, end, nowMs),
    revive: (task, nowMs, revival) => reviveTask(table, task, nowMs, revival),
    waitAgain: (task, needs) => waitAgain(table, task, needs),
    meetNeeds: (task, completed, nowMs) => meetNeeds(table, task, completed, nowMs),
    endPending: (task, end, nowMs) => endPending(table, task, end, nowMs),
    requestCancel: (task, cancel) => requestTaskCancel(table, task, cancel),
    noteDue: (task, dueAtMs) => noteTaskDue(table, task, dueAtMs),
    noteAnnounced: (task, next) => noteTaskAnnounced(table, task, next),
    requestLive: (task, request) => requestLive(table, task, request),
    noteWatched: (task, untilMs) => noteWatched(table, task, untilMs),
  };
}
