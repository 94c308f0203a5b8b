import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { taskBucket, taskBucketCount } from "../domain/ids.ts";
import { taskCounts } from "../domain/task-counts.ts";
import type { JobSpec, TaskSpec } from "../jobfile/job-spec.ts";
import { type ActiveJobsQuery, type ActivePage, countActiveJobs, listActiveJobIds, listJobsBefore } from "./active.ts";
import { bumpAdvance } from "./advance-chore.ts";
import { deleteChore, endChore, moveAdvance, moveChore, restAdvance } from "./chore-moves.ts";
import { digestAttributes, digestDue, noteJobDue, putChore } from "./digest-items.ts";
import { eachDuePage } from "./due.ts";
import { putEventPages, sequenceEvents } from "./events.ts";
import { findIdempotent, putIdempotent } from "./idempotency.ts";
import type { CancelRequest, Chore, JobDigest } from "./items.ts";
import { type JobListPage, listJobs } from "./job-list.ts";
import { choreKey, digestKey, type ItemKey, specKey } from "./keys.ts";
import { type NewRetry, requestRetry } from "./retry-request.ts";
import {
  getItems,
  maxTransactionBytes,
  maxTransactionItems,
  type Table,
  type TransactItems,
  writeTransaction,
} from "./table.ts";
import { firstState, newTaskItem } from "./tasks.ts";

/** Tasks written in the transaction that creates a job, beside what else it writes. */
const inlineTasks = maxTransactionItems - 5;
/** Tasks written in one step of an expansion at most, beside the chore that says how far it came. */
export const expansionStep = maxTransactionItems - 1;

/** A job's spec without its tasks, which are items of their own. */
export type StoredSpec = Omit<JobSpec, "tasks">;

export interface NewJob {
  jobId: string;
  spec: JobSpec;
  submittedBy: string;
  nowMs: number;
  /** Remembers that this key of this caller led to this job. `requestSha256` tells a repeat from a misuse. */
  idempotency?: { principal: string; key: string; requestSha256: string };
}

export type CreateJobOutcome =
  | { created: true; digest: JobDigest }
  | { created: false; existing: { jobId: string; requestSha256: string } };

/** Tells whether a job's tasks are written in the transaction that creates it; those of larger jobs come afterwards. */
export function isCreatedWhole(tasks: readonly TaskSpec[]): boolean {
  return tasks.length <= inlineTasks && takeExpansionStep(tasks, 0).length === tasks.length;
}

/** The tasks that one step of an expansion writes, from a place in the list on: at least one. */
export function takeExpansionStep(tasks: readonly TaskSpec[], from: number): TaskSpec[] {
  let bytes = 0;
  const step: TaskSpec[] = [];
  for (const task of tasks.slice(from, from + expansionStep)) {
    bytes += Buffer.byteLength(JSON.stringify(task));
    if (step.length > 0 && bytes > maxTransactionBytes) break;
    step.push(task);
  }
  return step;
}

/** Reads and writes jobs: digest, spec, list, chores. */
export interface JobRepository {
  /** Writes the job with its first event and its tasks or, where they are too many, a chore that expands it. */
  create(job: NewJob): Promise<CreateJobOutcome>;
  /** The job an Idempotency-Key of a caller led to, as long as it counts. */
  findIdempotent(
    principal: string,
    key: string,
    nowMs: number,
  ): Promise<{ jobId: string; requestSha256: string } | undefined>;
  getDigest(jobId: string): Promise<JobDigest | undefined>;
  getSpec(jobId: string): Promise<StoredSpec | undefined>;
  getDigests(jobIds: readonly string[]): Promise<JobDigest[]>;
  /** One page of jobs, newest first; with a filter a page may be short though more follow. */
  list(page: JobListPage): Promise<{ jobs: JobDigest[]; cursor?: string }>;
  /** Unfinished jobs of the same pool that were submitted earlier, the oldest first. */
  listBefore(job: { pool: string; jobId: string }, limit: number): Promise<ActivePage<JobDigest>>;
  /** Ids of unfinished jobs of a pool. */
  listActiveIds(query: ActiveJobsQuery): Promise<ActivePage<string>>;
  /** How many jobs of a pool have not ended, counted up to `limit`. */
  countActive(pool: string, limit: number): Promise<number>;
  /** Asks for the end of a job: its event, the mark on the digest and the chore that does it, or none of them. */
  requestCancel(digest: JobDigest, cancel: CancelRequest): Promise<boolean>;
  /** Asks for a retry of tasks: its event, the digest, and the chore that does it, or none of them. */
  requestRetry(retry: NewRetry): Promise<boolean>;
  /** Notes that all messages of the job were sent. */
  noteDispatched(digest: JobDigest): Promise<void>;
  /** Notes when the sweep has to look at the job next, and with what it compares then (`digest.check`). */
  noteDue(digest: JobDigest): Promise<void>;
  getChore(jobId: string, kind: Chore["kind"]): Promise<Chore | undefined>;
  /** Those chores of some kinds that there are. */
  getChores(jobId: string, kinds: readonly Chore["kind"][]): Promise<Chore[]>;
  /** Writes the next tasks of an expansion and moves its cursor; false where somebody else has done so. */
  expand(step: {
    digest: JobDigest;
    tasks: readonly TaskSpec[];
    from: number;
    transitions: (task: TaskSpec) => Parameters<typeof newTaskItem>[2];
  }): Promise<boolean>;
  moveChore(chore: Chore, cursor: string): Promise<boolean>;
  endChore(chore: Chore): Promise<void>;
  /** Ends a chore that the one which moves the graph on was waiting for, and wakes that. */
  endChoreAndAdvance(chore: Chore, nowMs: number): Promise<void>;
  /** Notes how far the `advance` chore has come; false where somebody else has moved it. */
  moveAdvance(chore: Chore, cursor: string): Promise<boolean>;
  /** Lays the `advance` chore to rest; false where there is more to do by now. */
  restAdvance(chore: Chore, cursor: string): Promise<boolean>;
  /** Lets the ending of a job's tasks begin again from the first. */
  putCancelChore(jobId: string, nowMs: number): Promise<void>;
  /** Keys of all items that the sweep has to look at, page by page. */
  eachDuePage(nowMs: number, pageSize: number): AsyncGenerator<ItemKey[]>;
}

export function createJobRepository(table: Table): JobRepository {
  const getOne = async (key: ItemKey) => (await getItems(table, [key]))[0];
  return {
    create: (job) => createJob(table, job),
    findIdempotent: (principal, key, nowMs) => findIdempotent(table, principal, key, nowMs),
    getDigest: async (jobId) => (await getOne(digestKey(jobId))) as JobDigest | undefined,
    async getSpec(jobId) {
      const item = await getOne(specKey(jobId));
      return item === undefined ? undefined : (JSON.parse(String(item.spec)) as StoredSpec);
    },
    getDigests: async (jobIds) => (await getItems(table, jobIds.map(digestKey))) as unknown as JobDigest[],
    list: (page) => listJobs(table, page),
    listBefore: (job, limit) => listJobsBefore(table, job, limit),
    listActiveIds: (query) => listActiveJobIds(table, query),
    countActive: (pool, limit) => countActiveJobs(table, pool, limit),
    requestCancel: (digest, cancel) => requestCancel(table, digest, cancel),
    requestRetry: (retry) => requestRetry(table, retry),
    noteDispatched({ dispatchPending: _, ...dispatched }) {
      return noteJobDue(table, dispatched);
    },
    noteDue: (digest) => noteJobDue(table, digest),
    getChore: async (jobId, kind) => (await getOne(choreKey(jobId, kind))) as Chore | undefined,
    async getChores(jobId, kinds) {
      const keys = kinds.map((kind) => choreKey(jobId, kind));
      return (await getItems(table, keys)) as unknown as Chore[];
    },
    expand: (step) => expandJob(table, step),
    moveChore: (chore, cursor) => moveChore(table, chore, cursor),
    endChore: (chore) => endChore(table, chore),
    async endChoreAndAdvance(chore, nowMs) {
      await writeTransaction(table, [{ Delete: deleteChore(table, chore) }, bumpAdvance(table, chore.jobId, nowMs)]);
    },
    moveAdvance: (chore, cursor) => moveAdvance(table, chore, cursor),
    restAdvance: (chore, cursor) => restAdvance(table, chore, cursor),
    async putCancelChore(jobId, nowMs) {
      await table.client.send(new PutCommand(putChore(table, { jobId, kind: "cancel", cursor: "" }, nowMs).Put));
    },
    eachDuePage: (nowMs, pageSize) => eachDuePage(table, nowMs, pageSize),
  };
}

async function createJob(table: Table, job: NewJob): Promise<CreateJobOutcome> {
  const createdAt = new Date(job.nowMs).toISOString();
  const { tasks, ...storedSpec } = job.spec;
  const [submitted] = sequenceEvents(job.jobId, 0, [
    {
      type: "job.submitted",
      at: createdAt,
      name: job.spec.name,
      pool: job.spec.pool,
      tasks: tasks.length,
      submittedBy: job.submittedBy,
    },
  ]);
  if (!submitted) throw new Error("a job has a first event");
  const whole = isCreatedWhole(tasks);
  const pending = tasks.filter((task) => firstState(task) === "pending").length;
  const digest: JobDigest = {
    jobId: job.jobId,
    name: job.spec.name,
    pool: job.spec.pool,
    state: "queued",
    counts: taskCounts({ pending, queued: tasks.length - pending }),
    total: tasks.length,
    bucketCount: taskBucketCount(tasks.length),
    seq: submitted.seq,
    abort: job.spec.abort,
    submittedBy: job.submittedBy,
    createdAt,
    ...(job.spec.timeoutMs === undefined ? {} : { timeoutAt: new Date(job.nowMs + job.spec.timeoutMs).toISOString() }),
    ...(job.spec.retry ? { retry: job.spec.retry } : {}),
    ...(pending > 0 ? { graph: true as const } : {}),
    ...(job.spec.steps.some((step) => step.kind === "container" && step.shipped) ? { images: true as const } : {}),
    ...(whole ? { dispatchPending: true } : {}),
  };
  const absent = { TableName: table.name, ConditionExpression: "attribute_not_exists(pk)" };
  const items: TransactItems = [
    { Put: { ...absent, Item: { ...digestAttributes(digest), ...digestDue(digest) } } },
    { Put: { ...absent, Item: { ...specKey(job.jobId), type: "spec", spec: JSON.stringify(storedSpec) } } },
    ...putEventPages(table, job.jobId, [submitted]),
  ];
  if (whole) {
    for (const task of tasks) {
      const bucket = taskBucket(task.name, digest.bucketCount);
      items.push({ Put: { ...absent, Item: newTaskItem(task, { ...job.spec, jobId: job.jobId, bucket, createdAt }) } });
    }
  } else {
    items.push(putChore(table, { jobId: job.jobId, kind: "expand", cursor: "0" }, job.nowMs));
  }
  if (job.idempotency) {
    items.push(putIdempotent(table, { ...job.idempotency, jobId: job.jobId, nowMs: job.nowMs }));
  }
  const outcome = await writeTransaction(table, items);
  if (outcome.ok) return { created: true, digest };
  const idempotent =
    job.idempotency && (await findIdempotent(table, job.idempotency.principal, job.idempotency.key, job.nowMs));
  if (!idempotent) throw new Error(`job ${job.jobId} exists already`);
  return { created: false, existing: idempotent };
}

async function expandJob(
  table: Table,
  { digest, tasks, from, transitions }: Parameters<JobRepository["expand"]>[0],
): Promise<boolean> {
  const items: TransactItems = tasks.map((task) => {
    const bucket = taskBucket(task.name, digest.bucketCount);
    return {
      Put: {
        TableName: table.name,
        Item: newTaskItem(task, { ...digest, bucket }, transitions(task)),
        ConditionExpression: "attribute_not_exists(pk)",
      },
    };
  });
  items.push({
    Update: {
      TableName: table.name,
      Key: choreKey(digest.jobId, "expand"),
      UpdateExpression: "SET #cursor = :next",
      ConditionExpression: "#cursor = :seen",
      ExpressionAttributeNames: { "#cursor": "cursor" },
      ExpressionAttributeValues: { ":next": String(from + tasks.length), ":seen": String(from) },
    },
  });
  return (await writeTransaction(table, items)).ok;
}

async function requestCancel(table: Table, digest: JobDigest, cancel: CancelRequest): Promise<boolean> {
  const events = sequenceEvents(digest.jobId, digest.seq, [{ type: "job.cancel_requested", ...cancel }]);
  const outcome = await writeTransaction(table, [
    {
      Update: {
        TableName: table.name,
        Key: digestKey(digest.jobId),
        UpdateExpression: "SET cancel = :cancel, seq = :next",
        ConditionExpression: "seq = :seq AND attribute_not_exists(cancel)",
        ExpressionAttributeValues: { ":cancel": cancel, ":seq": digest.seq, ":next": digest.seq + events.length },
      },
    },
    ...putEventPages(table, digest.jobId, events),
    putChore(table, { jobId: digest.jobId, kind: "cancel", cursor: "" }, Date.parse(cancel.at)),
  ]);
  return outcome.ok;
}
