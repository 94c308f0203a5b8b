import type { JobEvent, Unsequenced } from "../../events/index.ts";
import type { Announcement } from "../domain/announcement.ts";
import type { JobState } from "../domain/job-state.ts";
import type { LiveRequest } from "../domain/live-artifact.ts";
import type { Artifact, AttemptOutcome, LogSummary, StepResult } from "../domain/manifest.ts";
import type { Footprint } from "../domain/metric-sample.ts";
import type { ReasonCode } from "../domain/reason.ts";
import type { UserRetryPolicy } from "../domain/retry-policy.ts";
import type { TaskCounts } from "../domain/task-counts.ts";
import type { TaskState } from "../domain/task-state.ts";
import type { WorkerState } from "../domain/worker-state.ts";
import type { AbortPolicy } from "../jobfile/rules.ts";

/** Who or what asked a job or a task to end. */
export interface CancelRequest {
  cause: "user" | "abort_policy" | "job_timeout";
  detail: string;
  at: string;
}

/** The sweep's next look at a job: when, what the newest event was at the last one, and how long it waited since. */
export interface JobCheck {
  at: string;
  seq: number;
  afterMs: number;
}

/**
 * The truth about a job: its counters and outcome, moved by the fold only. `seq`, the sequence number of the newest
 * event, is also the item's version: every write is on the condition of the `seq` it has seen.
 */
export interface JobDigest {
  jobId: string;
  name: string;
  pool: string;
  state: JobState;
  counts: TaskCounts;
  total: number;
  bucketCount: number;
  seq: number;
  abort: AbortPolicy;
  submittedBy: string;
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
  cancel?: CancelRequest;
  /** How many attempts ended for each reason; absent where none did, and of before this was counted. */
  reasons?: Partial<Record<ReasonCode, number>>;
  timeoutAt?: string;
  /** What the job says about failures of its own: each of its tasks is created with it. */
  retry?: UserRetryPolicy;
  /** Set where tasks of the job need others. */
  graph?: true;
  /** Set where steps of the job run in shipped images. */
  images?: true;
  /** Set until every message of the job is known to have been sent. */
  dispatchPending?: boolean;
  check?: JobCheck;
}

/**
 * What the control plane saw when it took an attempt from its worker, all by its own clock: that the lease had run out,
 * and when it had last heard of the worker. Neither follows from the other.
 */
export interface RescueEvidence {
  at: string;
  leaseUntil: string;
  /** Absent where nothing is known of the worker. */
  workerSeenAt?: string;
  /** Its state on record then. */
  workerState?: WorkerState;
}

/** One try at a task; its number is its position in the task's list, from 1. */
export interface AttemptRecord {
  workerId: string;
  leaseToken: string;
  claimedAt: string;
  /** How long the task had been queued then. */
  waitedMs?: number;
  endedAt?: string;
  outcome?: Partial<AttemptOutcome>;
  steps?: StepResult[];
  logs?: LogSummary[];
  artifacts?: Artifact[];
  footprint?: Footprint;
  rescue?: RescueEvidence;
}

/** A move of a task that its job's digest has yet to count: the event without its place in the sequence. */
export type TaskTransition = Omit<Unsequenced<Extract<JobEvent, { type: "task.transition" }>>, "type" | "task">;

/**
 * The truth about a task. `rev` counts its moves, `foldedRev` those that the digest has counted; `outbox` holds the
 * moves in between, oldest first, so that no move is forgotten however late the fold runs.
 */
export interface TaskItem {
  jobId: string;
  task: string;
  bucket: number;
  pool: string;
  slots: number;
  timeoutMs: number;
  env: Record<string, string>;
  state: TaskState;
  rev: number;
  /** Of its newest move, chosen by who made it; absent before the first. */
  moveId?: string;
  foldedRev: number;
  outbox?: TaskTransition[];
  /** Length of `outbox`, absent where it is empty: what the stream's filter sees. */
  unfolded?: number;
  /** Attempts so far, the running one included. */
  attempt: number;
  attempts: AttemptRecord[];
  infrastructureFailures: number;
  /** Attempts that ended by failures of the user's that `retry` names. */
  userFailures?: number;
  /** What the job says about failures of its own. */
  retry?: UserRetryPolicy;
  /** On a pending task: the tasks it needs that have not completed, as far as was noticed. Absent where none is left. */
  waitingFor?: Set<string>;
  /** How often a retry of what it needs has touched the task: whoever looked before must look again. */
  retouched?: number;
  /** Sequence number of the event by which somebody asked for the task's last retry: older news do not concern it. */
  retriedSeq?: number;
  /** `timeoutMs`: how long its worker was told that the attempt may take. */
  lease?: { token: string; workerId: string; untilMs: number; timeoutMs: number };
  /** On a queued task whose message may be lost: when the sweep sends it again. */
  announce?: Announcement;
  /** Since when it waits; absent where that is since its creation. */
  queuedAt?: string;
  cancel?: CancelRequest;
  watchedUntilMs?: number;
  /** Somebody wants what the attempt that it names has written so far. */
  live?: LiveRequest;
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
  outcome?: AttemptOutcome;
}

/** A retry that somebody asked for. Which tasks it is about stands in an object of the bucket. */
export interface RetryRequest {
  by: string;
  at: string;
  /** Sequence number of its event. */
  seq: number;
  /** The job as a whole had been cancelled: tasks that never started because of that begin again with what they need. */
  wasCancelled: boolean;
}

/**
 * Work on a whole job that outlives a request. `cursor` says how far it has come; `nonce` tells it from one that is put
 * in its place.
 */
export interface Chore {
  jobId: string;
  kind: "expand" | "cancel" | "advance" | "retry";
  cursor: string;
  nonce: string;
  /** Of a retry: what it was asked for. */
  retry?: RetryRequest;
}
