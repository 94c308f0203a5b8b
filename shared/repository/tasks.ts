import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { AttemptKey } from "../domain/ids.ts";
import type { Artifact, AttemptOutcome, LogSummary, StepResult } from "../domain/manifest.ts";
import { type Reason, reasonFor } from "../domain/reason.ts";
import { isTerminalTaskState, type TaskState } from "../domain/task-state.ts";
import { timing } from "../domain/timing.ts";
import type { TaskSpec } from "../jobfile/job-spec.ts";
import type { AttemptRecord, CancelRequest, TaskItem, TaskTransition } from "./items.ts";
import { dueEntry, type ItemKey, taskKey, taskPartition } from "./keys.ts";
import { decodeCursor, encodeCursor, getItems, type Table, type UpdateOutcome, updateItem } from "./table.ts";

/** A task that is due to be folded is looked at by the sweep if its trigger has not done it by then. */
export const foldDueMs = 30_000;

/** What an attempt that ended brings along. */
export interface AttemptEnd {
  outcome: AttemptOutcome;
  steps: StepResult[];
  logs: LogSummary[];
  artifacts: Artifact[];
}

/** Outcome of a conditional move of a task: done, or the task as it was when the condition failed (if it exists). */
export type TaskMove = { moved: true; task: TaskItem } | { moved: false; task?: TaskItem };

/** Reads and moves tasks. Each move is one conditional write on one task item. */
export interface TaskRepository {
  get(jobId: string, bucket: number, task: string): Promise<TaskItem | undefined>;
  getMany(keys: readonly Pick<AttemptKey, "jobId" | "bucket" | "task">[]): Promise<TaskItem[]>;
  /** One page of a job's tasks, bucket by bucket and by name within each. */
  list(
    job: { jobId: string; bucketCount: number },
    page: { limit: number; cursor?: string; state?: TaskState },
  ): Promise<{ tasks: TaskItem[]; cursor?: string }>;
  /** Gives a queued task, or one whose lease has run out, to a worker as its next attempt. */
  claim(task: TaskItem, claim: { workerId: string; leaseToken: string; nowMs: number }): Promise<TaskMove>;
  /** Renews the lease of a running attempt; refused where the token is not the lease's. */
  renewLease(key: AttemptKey, leaseToken: string, nowMs: number): Promise<TaskMove>;
  /** Ends the running attempt and with it the task. */
  endAttempt(key: AttemptKey, leaseToken: string, end: AttemptEnd, nowMs: number): Promise<TaskMove>;
  /** Puts the task of a running attempt back to `queued`: released unspent, or failed by infrastructure (counted). */
  requeue(
    key: AttemptKey,
    leaseToken: string,
    requeue: { reason: Reason; counted: boolean; end?: AttemptEnd; nowMs: number },
  ): Promise<TaskMove>;
  /** Ends a task that no worker holds. */
  endUnclaimed(task: TaskItem, state: "aborted" | "timed_out", reason: Reason, nowMs: number): Promise<TaskMove>;
  /** Notes on a running task that it has to end; its worker hears of it at its next heartbeat. */
  requestCancel(task: TaskItem, cancel: CancelRequest): Promise<TaskMove>;
  /** Notes that somebody follows the task's log until then. */
  noteWatched(task: TaskItem, untilMs: number): Promise<void>;
}

/** A new task item in its first state, with the moves that its digest has not counted yet (normally none). */
export function newTaskItem(
  spec: TaskSpec,
  job: { jobId: string; pool: string; bucket: number; createdAt: string },
  transitions: TaskTransition[] = [],
): Record<string, unknown> {
  const last = transitions.at(-1);
  const item: TaskItem = {
    jobId: job.jobId,
    task: spec.name,
    bucket: job.bucket,
    pool: job.pool,
    slots: spec.slots,
    timeoutMs: spec.timeoutMs ?? timing.defaultTaskTimeoutMs,
    env: spec.env,
    state: last?.to ?? "queued",
    rev: 1 + transitions.length,
    foldedRev: 1,
    attempt: 0,
    attempts: [],
    infrastructureFailures: 0,
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
    claim: (task, claim) => claimTask(table, task, claim),
    async renewLease(key, leaseToken, nowMs) {
      const untilMs = nowMs + timing.leaseMs;
      return toMove(
        await updateItem(table, {
          Key: attemptItemKey(key),
          UpdateExpression: "SET lease.untilMs = :until, duePk = :duePk, dueAt = :dueAt",
          ConditionExpression: "lease.#token = :token",
          ExpressionAttributeNames: { "#token": "token" },
          ExpressionAttributeValues: {
            ":until": untilMs,
            ":token": leaseToken,
            ...dueValues(key.task, untilMs + foldDueMs),
          },
        }),
      );
    },
    endAttempt: (key, leaseToken, end, nowMs) => endAttempt(table, key, leaseToken, end, nowMs),
    requeue: (key, leaseToken, requeue) => requeueTask(table, key, leaseToken, requeue),
    endUnclaimed: (task, state, reason, nowMs) => endUnclaimed(table, task, state, reason, nowMs),
    async requestCancel(task, cancel) {
      return toMove(
        await updateItem(table, {
          Key: attemptItemKey(task),
          UpdateExpression: "SET cancel = if_not_exists(cancel, :cancel)",
          ConditionExpression: "#state = :running",
          ExpressionAttributeNames: { "#state": "state" },
          ExpressionAttributeValues: { ":cancel": cancel, ":running": "running" },
        }),
      );
    },
    async noteWatched(task, untilMs) {
      await updateItem(table, {
        Key: attemptItemKey(task),
        UpdateExpression: "SET watchedUntilMs = :until",
        ConditionExpression: "#state = :running",
        ExpressionAttributeNames: { "#state": "state" },
        ExpressionAttributeValues: { ":until": untilMs, ":running": "running" },
      });
    },
  };
}

async function claimTask(
  table: Table,
  task: TaskItem,
  { workerId, leaseToken, nowMs }: { workerId: string; leaseToken: string; nowMs: number },
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const attempt = task.attempt + 1;
  const moves: TaskTransition[] = [];
  if (task.state === "running") moves.push(lostTransition(task, at));
  moves.push({ at, from: "queued", to: "running", attempt, workerId });
  const record: AttemptRecord = { workerId, leaseToken, claimedAt: at };
  const lease: TaskItem["lease"] = { token: leaseToken, workerId, untilMs: nowMs + timing.leaseMs };
  const lost = task.state === "running";
  const names: Record<string, string> = { "#state": "state", "#rev": "rev", "#lease": "lease" };
  const move = toMove(
    await updateItem(table, {
      Key: attemptItemKey(task),
      UpdateExpression: [
        "SET #state = :running, #rev = #rev + :moves, attempt = :attempt, #lease = :lease",
        // By its place, right behind the last: an update may not name a list and an element of it.
        `attempts[${task.attempt}] = :record, outbox = list_append(if_not_exists(outbox, :none), :outbox)`,
        "unfolded = if_not_exists(unfolded, :zero) + :moves, startedAt = if_not_exists(startedAt, :at)",
        "duePk = :duePk, dueAt = :dueAt",
        ...(lost ? [`attempts[${task.attempt - 1}].endedAt = :at, attempts[${task.attempt - 1}].outcome = :lost`] : []),
        ...(lost ? ["infrastructureFailures = infrastructureFailures + :one"] : []),
      ].join(", "),
      ConditionExpression: "#rev = :rev AND (#state = :queued OR (#state = :running AND #lease.untilMs = :seenUntil))",
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: {
        ":running": "running",
        ":queued": "queued",
        ":rev": task.rev,
        ":seenUntil": task.lease?.untilMs ?? 0,
        ":moves": moves.length,
        ":attempt": attempt,
        ":lease": lease,
        ":record": record,
        ":outbox": moves,
        ":none": [],
        ":zero": 0,
        ":at": at,
        ...(lost ? { ":one": 1, ":lost": { reason: moves[0]?.reason } } : {}),
        ...dueValues(task.task, nowMs + foldDueMs),
      },
    }),
  );
  // A write whose answer got lost is sent again and finds its own lease.
  return move.task?.lease?.token === leaseToken ? { moved: true, task: move.task } : move;
}

function lostTransition(task: TaskItem, at: string): TaskTransition {
  const workerId = task.lease?.workerId ?? "unknown";
  const detail = `attempt ${task.attempt}: worker ${workerId} stopped renewing its lease`;
  return {
    at,
    from: "running",
    to: "queued",
    attempt: task.attempt,
    workerId,
    reason: reasonFor("worker_lost", detail),
  };
}

async function endAttempt(
  table: Table,
  key: AttemptKey,
  leaseToken: string,
  end: AttemptEnd,
  nowMs: number,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const { state, exitCode, warning, reason } = end.outcome;
  const artifacts = end.artifacts.map(({ name, size }) => ({ name, size }));
  const move: TaskTransition = {
    at,
    from: "running",
    to: state,
    attempt: key.attempt,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(warning === undefined ? {} : { warning }),
    ...(reason === undefined ? {} : { reason }),
    ...(artifacts.length === 0 ? {} : { artifacts }),
  };
  const record = `attempts[${key.attempt - 1}]`;
  return toMove(
    await updateItem(table, {
      Key: attemptItemKey(key),
      UpdateExpression: [
        `SET #state = :state, #rev = #rev + :one, endedAt = :at, outcome = :outcome, ${record}.endedAt = :at`,
        `${record}.outcome = :outcome, ${record}.steps = :steps, ${record}.logs = :logs`,
        `${record}.artifacts = :artifacts, outbox = list_append(if_not_exists(outbox, :none), :outbox)`,
        "unfolded = if_not_exists(unfolded, :zero) + :one, duePk = :duePk, dueAt = :dueAt REMOVE lease, cancel",
      ].join(", "),
      ConditionExpression: "lease.#token = :token",
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev", "#token": "token" },
      ExpressionAttributeValues: {
        ":state": state,
        ":one": 1,
        ":zero": 0,
        ":none": [],
        ":at": at,
        ":outcome": end.outcome,
        ":steps": end.steps,
        ":logs": end.logs,
        ":artifacts": end.artifacts,
        ":outbox": [move],
        ":token": leaseToken,
        ...dueValues(key.task, nowMs + foldDueMs),
      },
    }),
  );
}

async function requeueTask(
  table: Table,
  key: AttemptKey,
  leaseToken: string,
  { reason, counted, end, nowMs }: { reason: Reason; counted: boolean; end?: AttemptEnd; nowMs: number },
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const record = `attempts[${key.attempt - 1}]`;
  const move: TaskTransition = { at, from: "running", to: "queued", attempt: key.attempt, reason };
  return toMove(
    await updateItem(table, {
      Key: attemptItemKey(key),
      UpdateExpression: [
        "SET #state = :queued, #rev = #rev + :one, outbox = list_append(if_not_exists(outbox, :none), :outbox)",
        `unfolded = if_not_exists(unfolded, :zero) + :one, ${record}.endedAt = :at, ${record}.outcome = :outcome`,
        `${record}.steps = :steps, ${record}.logs = :logs, ${record}.artifacts = :artifacts`,
        `infrastructureFailures = infrastructureFailures + :${counted ? "one" : "zero"}`,
        "duePk = :duePk, dueAt = :dueAt REMOVE lease",
      ].join(", "),
      ConditionExpression: "lease.#token = :token",
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev", "#token": "token" },
      ExpressionAttributeValues: {
        ":queued": "queued",
        ":one": 1,
        ":zero": 0,
        ":none": [],
        ":at": at,
        ":outcome": end ? { ...end.outcome, reason } : { reason },
        ":steps": end?.steps ?? [],
        ":logs": end?.logs ?? [],
        ":artifacts": end?.artifacts ?? [],
        ":outbox": [move],
        ":token": leaseToken,
        ...dueValues(key.task, nowMs + foldDueMs),
      },
    }),
  );
}

async function endUnclaimed(
  table: Table,
  task: TaskItem,
  state: "aborted" | "timed_out",
  reason: Reason,
  nowMs: number,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const move: TaskTransition = { at, from: task.state, to: state, attempt: task.attempt, reason };
  return toMove(
    await updateItem(table, {
      Key: attemptItemKey(task),
      UpdateExpression: [
        "SET #state = :state, #rev = #rev + :one, endedAt = :at, outcome = :outcome",
        "outbox = list_append(if_not_exists(outbox, :none), :outbox)",
        "unfolded = if_not_exists(unfolded, :zero) + :one, duePk = :duePk, dueAt = :dueAt",
      ].join(", "),
      ConditionExpression: "#rev = :rev AND #state = :from AND attribute_not_exists(lease)",
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev" },
      ExpressionAttributeValues: {
        ":state": state,
        ":from": task.state,
        ":rev": task.rev,
        ":one": 1,
        ":zero": 0,
        ":none": [],
        ":at": at,
        ":outcome": { state, reason },
        ":outbox": [move],
        ...dueValues(task.task, nowMs + foldDueMs),
      },
    }),
  );
}

async function listTasks(
  table: Table,
  job: { jobId: string; bucketCount: number },
  { limit, cursor, state }: { limit: number; cursor?: string; state?: TaskState },
): Promise<{ tasks: TaskItem[]; cursor?: string }> {
  const from = cursor === undefined ? { bucket: 0 } : decodeCursor(cursor);
  const tasks: TaskItem[] = [];
  let after = from.key as ItemKey | undefined;
  for (let bucket = Number(from.bucket ?? 0); bucket < job.bucketCount; bucket++) {
    do {
      const answer = await table.client.send(
        new QueryCommand({
          TableName: table.name,
          KeyConditionExpression: "pk = :pk",
          ExpressionAttributeValues: { ":pk": taskPartition(job.jobId, bucket), ...(state ? { ":state": state } : {}) },
          ...(state ? { FilterExpression: "#state = :state", ExpressionAttributeNames: { "#state": "state" } } : {}),
          Limit: limit - tasks.length,
          ConsistentRead: true,
          ...(after ? { ExclusiveStartKey: after } : {}),
        }),
      );
      tasks.push(...((answer.Items ?? []) as unknown as TaskItem[]));
      after = answer.LastEvaluatedKey as ItemKey | undefined;
      if (tasks.length >= limit) {
        const more = after !== undefined || bucket + 1 < job.bucketCount;
        const place = after === undefined ? { bucket: bucket + 1 } : { bucket, key: after };
        return more ? { tasks, cursor: encodeCursor(place) } : { tasks };
      }
    } while (after !== undefined);
  }
  return { tasks };
}

function attemptItemKey(key: Pick<AttemptKey, "jobId" | "bucket" | "task">): ItemKey {
  return taskKey(key.jobId, key.bucket, key.task);
}

function dueValues(task: string, dueAtMs: number): Record<string, string> {
  const { duePk, dueAt } = dueEntry(task, dueAtMs);
  return { ":duePk": duePk, ":dueAt": dueAt };
}

function toMove(outcome: UpdateOutcome): TaskMove {
  if (outcome.ok) return { moved: true, task: outcome.item as unknown as TaskItem };
  return outcome.item ? { moved: false, task: outcome.item as unknown as TaskItem } : { moved: false };
}
