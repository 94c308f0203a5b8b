import * as z from "zod";
import { fleetEventSchema, jobEventSchema } from "../../events/index.ts";
import { jobStates } from "../domain/job-state.ts";
import { limits } from "../domain/limits.ts";
import {
  artifactSchema,
  attemptOutcomeSchema,
  logSummarySchema,
  reasonSchema,
  stepResultSchema,
} from "../domain/manifest.ts";
import { footprintSchema } from "../domain/metric-sample.ts";
import { poolStates } from "../domain/pool-state.ts";
import { type ReasonCode, reasonCodes } from "../domain/reason.ts";
import { roles } from "../domain/roles.ts";
import { explainBadSecretValue } from "../domain/secret-rules.ts";
import { taskStates, terminalTaskStates } from "../domain/task-state.ts";
import { whyCodes, whyFactSchema } from "../domain/why-facts.ts";
import { workerStates } from "../domain/worker-state.ts";
import { jobSpecSchema } from "../jobfile/job-spec.ts";
import { shownArtifactSchema } from "./artifact-schemas.ts";
import { drainCauseSchema, hostUseSchema, workerHealthSchema } from "./worker-schemas.ts";

/**
 * Bodies of the HTTP API, one schema each: the server validates with them, the client's types and `/openapi.json`
 * come from them. Times are ISO 8601 in UTC of the control plane's clock unless said otherwise.
 */
const taskCountsSchema = z
  .record(z.enum(taskStates), z.number().int().nonnegative())
  .meta({ description: "Number of tasks by state." });

/** Each code by itself, for a record would keep the order of its keys as they come from the table. */
const reasonCountsSchema = z
  .object(
    Object.fromEntries(reasonCodes.map((code) => [code, z.number().int().positive().optional()])) as Record<
      ReasonCode,
      z.ZodOptional<z.ZodNumber>
    >,
  )
  .meta({ description: "Number of attempts by the reason they ended for." });

/** An error body (RFC 9457) with a stable `code`; `problems` lists every mistake of an invalid job. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    code: z.string(),
    detail: z.string(),
    requestId: z.string().optional(),
    problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof problemSchema>;

export const submitJobSchema = z.object({ spec: jobSpecSchema }).meta({ id: "SubmitJob" });

export const submittedJobSchema = z
  .object({ job: z.string(), url: z.string(), tasks: z.number().int(), created: z.boolean() })
  .meta({ id: "SubmittedJob" });
export type SubmittedJob = z.infer<typeof submittedJobSchema>;

/** A job as its digest tells: one read at any size. */
export const jobSchema = z
  .object({
    job: z.string(),
    name: z.string(),
    pool: z.string(),
    status: z.enum(jobStates),
    total: z.number().int(),
    counts: taskCountsSchema,
    createdAt: z.string(),
    startedAt: z.string().optional(),
    endedAt: z.string().optional(),
    submittedBy: z.string(),
    abort: z.enum(["never", "on-failure", "on-error"]),
    cancel: z
      .object({ cause: z.enum(["user", "abort_policy", "job_timeout"]), detail: z.string(), at: z.string() })
      .optional(),
    /** How many of its attempts ended for each reason, those included that were retried. */
    reasons: reasonCountsSchema,
    /** Sequence number of the job's newest event: where a watcher that has read this resumes from. */
    lastEvent: z.number().int(),
  })
  .meta({ id: "Job" });
export type Job = z.infer<typeof jobSchema>;

/** What a job was submitted as, but for its tasks. */
export const jobSpecAnswerSchema = z
  .object({ job: z.string(), spec: z.object(jobSpecSchema.shape).omit({ tasks: true }) })
  .meta({ id: "JobSpecAnswer" });
export type JobSpecAnswer = z.infer<typeof jobSpecAnswerSchema>;

export const jobPageSchema = z
  .object({ jobs: z.array(jobSchema), cursor: z.string().optional() })
  .meta({ id: "JobPage" });
export type JobPage = z.infer<typeof jobPageSchema>;

const attemptSchema = z.object({
  attempt: z.number().int().min(1),
  workerId: z.string(),
  claimedAt: z.string(),
  /** How long the task had been queued then, in milliseconds. */
  waitedMs: z.number().int().nonnegative().optional(),
  endedAt: z.string().optional(),
  outcome: attemptOutcomeSchema.partial({ state: true }).optional(),
  steps: z.array(stepResultSchema).optional(),
  logs: z.array(logSummarySchema).optional(),
  artifacts: z.array(shownArtifactSchema).optional(),
  /** What it used, as its worker reported it; absent where it was over too soon to be sampled, or its worker died. */
  footprint: footprintSchema.optional(),
  /** What the control plane saw when it took the attempt from its worker; absent where the worker reported it. */
  rescue: z
    .object({
      at: z.string(),
      leaseUntil: z.string(),
      workerSeenAt: z.string().optional(),
      workerState: z.enum(workerStates).optional(),
    })
    .optional(),
});
export type Attempt = z.infer<typeof attemptSchema>;

/** One attempt as a timeline shows it: on which worker, and how long each part of it took. */
const attemptTimesSchema = z.object({
  task: z.string(),
  attempt: z.number().int().min(1),
  workerId: z.string(),
  claimedAt: z.string(),
  /** How long the task had been queued then, in milliseconds, as all that follow. */
  waitedMs: z.number().int().nonnegative().optional(),
  /** From the claim until the first step began: images, networks and services. From the clocks of both sides. */
  leaseMs: z.number().int().nonnegative().optional(),
  /** From the beginning of the first step until the end of the last that ran; what remains is the upload. */
  runMs: z.number().int().nonnegative().optional(),
  /** From the claim until the end; absent while it goes on. */
  totalMs: z.number().int().nonnegative().optional(),
  /** Absent while it goes on, and where the task was given back to be tried again. */
  state: z.enum(terminalTaskStates).optional(),
  warning: z.literal(true).optional(),
  reason: z.enum(reasonCodes).optional(),
});
export type AttemptTimes = z.infer<typeof attemptTimesSchema>;

export const attemptTimesPageSchema = z
  .object({ attempts: z.array(attemptTimesSchema), cursor: z.string().optional() })
  .meta({ id: "AttemptTimesPage" });
export type AttemptTimesPage = z.infer<typeof attemptTimesPageSchema>;

/** A task without its attempts: what lists show. */
export const taskSummarySchema = z
  .object({
    task: z.string(),
    status: z.enum(taskStates),
    slots: z.number().int(),
    /** Number of the newest attempt; 0 where there was none. */
    attempt: z.number().int(),
    workerId: z.string().optional(),
    createdAt: z.string(),
    startedAt: z.string().optional(),
    endedAt: z.string().optional(),
    exitCode: z.number().int().optional(),
    warning: z.boolean().optional(),
    reason: reasonSchema.optional(),
    /** Of a pending task: tasks that it needs and that have not completed, in lists only the first few. */
    waitingFor: z.array(z.string()).optional(),
    /** How many those are in all. */
    waitingForCount: z.number().int().optional(),
    artifacts: z.array(artifactSchema.pick({ name: true, size: true })).optional(),
    /** What the newest attempt used, once it has ended. */
    footprint: footprintSchema.optional(),
  })
  .meta({ id: "TaskSummary" });
export type TaskSummary = z.infer<typeof taskSummarySchema>;

/** As much of a task as a watcher of a whole job needs; long details are cut. */
const taskBriefSchema = taskSummarySchema
  .pick({
    task: true,
    status: true,
    attempt: true,
    startedAt: true,
    endedAt: true,
    exitCode: true,
    warning: true,
    reason: true,
    waitingFor: true,
    waitingForCount: true,
  })
  .meta({ id: "TaskBrief" });
export type TaskBrief = z.infer<typeof taskBriefSchema>;

export const taskBriefPageSchema = z
  .object({ tasks: z.array(taskBriefSchema), cursor: z.string().optional() })
  .meta({ id: "TaskBriefPage" });
export type TaskBriefPage = z.infer<typeof taskBriefPageSchema>;

export const taskPageSchema = z
  .object({ tasks: z.array(taskSummarySchema), cursor: z.string().optional() })
  .meta({ id: "TaskPage" });
export type TaskPage = z.infer<typeof taskPageSchema>;

export const taskSchema = taskSummarySchema
  .extend({
    job: z.string(),
    pool: z.string(),
    /** Variables of its own; the job's spec has those of all its tasks, and the names of secrets. */
    env: z.record(z.string(), z.string()),
    timeoutMs: z.number().int(),
    /** Tasks that have to complete before it starts. */
    needs: z.array(z.string()).optional(),
    cancelRequestedAt: z.string().optional(),
    attempts: z.array(attemptSchema),
  })
  .meta({ id: "Task" });
export type Task = z.infer<typeof taskSchema>;

/** Why a task waits, where it runs, or why it ended so: a sentence, and the evidence it rests on. */
export const whySchema = z
  .object({
    job: z.string(),
    task: z.string(),
    status: z.enum(taskStates),
    code: z.enum(whyCodes),
    summary: z.string(),
    facts: z.array(whyFactSchema),
    at: z.string(),
  })
  .meta({ id: "Why" });
export type Why = z.infer<typeof whySchema>;

export const eventPageSchema = z
  .object({ events: z.array(jobEventSchema), next: z.number().int() })
  .meta({ id: "EventPage", description: "`next` is the `after` of the following page." });
export type EventPage = z.infer<typeof eventPageSchema>;

export const cancelledSchema = z
  .object({ job: z.string(), task: z.string().optional(), status: z.enum(["cancelling", "already_ended"]) })
  .meta({ id: "Cancelled" });
export type Cancelled = z.infer<typeof cancelledSchema>;

/** Which tasks to run again: any that have ended; without names all that failed or timed out. */
export const retryRequestSchema = z
  .object({ tasks: z.array(z.string().min(1).max(128)).min(1).max(limits.tasksPerJob).optional() })
  .meta({ id: "RetryRequest" });

/** The tasks that are run again, and how many others that wait for them begin again with them. */
export const retriedSchema = z
  .object({ job: z.string(), status: z.literal("retrying"), tasks: z.array(z.string()), dependants: z.number().int() })
  .meta({ id: "Retried" });
export type Retried = z.infer<typeof retriedSchema>;

/** A secret as far as it may be told. */
export const secretSchema = z
  .object({ name: z.string(), updatedAt: z.string(), updatedBy: z.string().optional() })
  .meta({ id: "Secret" });
export type SecretDescription = z.infer<typeof secretSchema>;

export const secretPageSchema = z
  .object({ secrets: z.array(secretSchema), cursor: z.string().optional() })
  .meta({ id: "SecretPage" });
export type SecretPage = z.infer<typeof secretPageSchema>;

/** The one body of the public API that holds a secret's value. What is wrong with it is told without it. */
export const putSecretSchema = z
  .object({
    value: z.string().superRefine((value, context) => {
      const message = explainBadSecretValue(value);
      if (message !== undefined) context.addIssue({ code: "custom", message });
    }),
  })
  .meta({ id: "PutSecret" });

/** A worker as the control plane saw it last. */
export const workerSchema = z
  .object({
    workerId: z.string(),
    pool: z.string(),
    /** `lost`: it was silent for three heartbeats. */
    state: z.enum(workerStates),
    slots: z.number().int(),
    slotsFree: z.number().int(),
    /** Attempts that it holds. */
    held: z.number().int(),
    provider: z.string(),
    host: z.string(),
    instanceId: z.string().optional(),
    instanceType: z.string().optional(),
    imageDigest: z.string().optional(),
    version: z.string(),
    build: z.string().optional(),
    startedAt: z.string(),
    lastSeenAt: z.string(),
    /** How busy its machine is, as it told last. */
    use: hostUseSchema.optional(),
    health: workerHealthSchema.optional(),
    /** Somebody asked it to drain. */
    drainRequestedAt: z.string().optional(),
    drainRequestedBy: z.string().optional(),
    drainingSince: z.string().optional(),
    drainCause: drainCauseSchema.optional(),
    stoppedAt: z.string().optional(),
    /** Of one that stopped: attempts that it left behind; none where it ended in order. */
    abandoned: z.number().int().optional(),
  })
  .meta({ id: "Worker" });
export type Worker = z.infer<typeof workerSchema>;

export const workerPageSchema = z
  .object({ workers: z.array(workerSchema), cursor: z.string().optional() })
  .meta({ id: "WorkerPage" });
export type WorkerPage = z.infer<typeof workerPageSchema>;

/** A pool and how its workers are. */
export const poolSchema = z
  .object({
    pool: z.string(),
    state: z.enum(poolStates),
    /** Whether jobs can be sent to it. */
    configured: z.boolean(),
    /** Its workers that have not ended, by state. */
    workers: z.object({ starting: z.number().int(), alive: z.number().int(), draining: z.number().int() }),
    desired: z.number().int().optional(),
    /** Slots of the workers that are alive. */
    slots: z.number().int(),
    slotsFree: z.number().int(),
    /** Attempts that its workers hold. */
    held: z.number().int(),
    /** True where it has more workers than were looked at. */
    more: z.boolean(),
    lastSeenAt: z.string().optional(),
    /** Workers that were lost, or left attempts behind: lately, or without another that started since. */
    losses: z.array(z.object({ workerId: z.string(), at: z.string(), replaced: z.boolean() })),
  })
  .meta({ id: "Pool" });
export type Pool = z.infer<typeof poolSchema>;

export const poolListSchema = z.object({ pools: z.array(poolSchema) }).meta({ id: "PoolList" });
export type PoolList = z.infer<typeof poolListSchema>;

/** The pool should have so many workers; `null`: nobody says how many. */
export const desirePoolSchema = z.object({ desired: z.number().int().min(0).max(100_000).nullable() });

export const forgetPoolRequestSchema = z
  .object({ apply: z.boolean().default(false), cursor: z.string().max(2000).optional() })
  .meta({ id: "ForgetPoolRequest" });

/** `workers`: ids of the records of past workers that were removed or, where `applied` is false, would be. */
export const forgottenPoolSchema = z
  .object({ pool: z.string(), applied: z.boolean(), workers: z.array(z.string()), cursor: z.string().optional() })
  .meta({ id: "ForgottenPool" });
export type ForgottenPool = z.infer<typeof forgottenPoolSchema>;

/** Events of pools and workers, the newest first; with filters a page may be short though more follow. */
export const fleetEventPageSchema = z
  .object({ events: z.array(fleetEventSchema), cursor: z.string().optional() })
  .meta({ id: "FleetEventPage" });
export type FleetEventPage = z.infer<typeof fleetEventPageSchema>;
export const openSessionSchema = z.object({ token: z.string().min(1).max(500) }).meta({ id: "OpenSession" });

/** Whose token it is. */
export const sessionSchema = z.object({ name: z.string(), role: z.enum(roles) }).meta({ id: "Session" });
export type Session = z.infer<typeof sessionSchema>;

/** A message that was received too often, as it was when it was taken from its queue. */
export const deadLetterSchema = z
  .object({
    id: z.string(),
    pool: z.string(),
    /** Its body, cut to 4,096 characters in a list and to 256 KiB otherwise; `bodyBytes` is the length of all of it. */
    body: z.string(),
    bodyBytes: z.number().int(),
    receiveCount: z.number().int(),
    sentAt: z.string(),
    firstReceivedAt: z.string(),
    recordedAt: z.string(),
    /** What was wrong with it. */
    detail: z.string(),
    /** The task that failed because of it. */
    job: z.string().optional(),
    task: z.string().optional(),
    redrivenAt: z.string().optional(),
  })
  .meta({ id: "DeadLetter" });
export type DeadLetter = z.infer<typeof deadLetterSchema>;

export const deadLetterPageSchema = z
  .object({ deadLetters: z.array(deadLetterSchema), cursor: z.string().optional() })
  .meta({ id: "DeadLetterPage" });
export type DeadLetterPage = z.infer<typeof deadLetterPageSchema>;

/** Without `ids` one page of all that the pool has; the answer's `cursor` leads to the next. */
export const redriveRequestSchema = z
  .object({
    pool: z.string().max(64),
    ids: z.array(z.string().max(100)).min(1).max(100).optional(),
    cursor: z.string().max(2000).optional(),
    apply: z.boolean().default(false),
  })
  .meta({ id: "RedriveRequest" });

/** `redriven`: what was queued again or, where `applied` is false, would be. */
export const redriveSchema = z
  .object({
    pool: z.string(),
    applied: z.boolean(),
    redriven: z.array(z.object({ id: z.string(), job: z.string(), task: z.string() })),
    refused: z.array(z.object({ id: z.string(), detail: z.string() })),
    cursor: z.string().optional(),
  })
  .meta({ id: "Redrive" });
export type Redrive = z.infer<typeof redriveSchema>;
