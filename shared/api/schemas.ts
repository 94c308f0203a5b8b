import * as z from "zod";
import { jobEventSchema } from "../../events/index.ts";
import { jobStates } from "../domain/job-state.ts";
import { limits } from "../domain/limits.ts";
import {
  artifactSchema,
  attemptOutcomeSchema,
  logSummarySchema,
  reasonSchema,
  stepResultSchema,
} from "../domain/manifest.ts";
import { explainBadSecretValue } from "../domain/secret-rules.ts";
import { taskStates } from "../domain/task-state.ts";
import { whyCodes, whyFactSchema } from "../domain/why-facts.ts";
import { digestPattern, jobSpecSchema } from "../jobfile/job-spec.ts";

/**
 * Bodies of the HTTP API, one schema each: the server validates with them, the client's types and `/openapi.json`
 * come from them. Times are ISO 8601 in UTC of the control plane's clock unless said otherwise.
 */
const taskCountsSchema = z
  .record(z.enum(taskStates), z.number().int().nonnegative())
  .meta({ description: "Number of tasks by state." });

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
    /** Sequence number of the job's newest event: where a watcher that has read this resumes from. */
    lastEvent: z.number().int(),
  })
  .meta({ id: "Job" });
export type Job = z.infer<typeof jobSchema>;

export const jobPageSchema = z
  .object({ jobs: z.array(jobSchema), cursor: z.string().optional() })
  .meta({ id: "JobPage" });
export type JobPage = z.infer<typeof jobPageSchema>;

const attemptSchema = z.object({
  attempt: z.number().int().min(1),
  workerId: z.string(),
  claimedAt: z.string(),
  endedAt: z.string().optional(),
  outcome: attemptOutcomeSchema.partial({ state: true }).optional(),
  steps: z.array(stepResultSchema).optional(),
  logs: z.array(logSummarySchema).optional(),
  artifacts: z.array(artifactSchema.omit({ key: true })).optional(),
  /** What the control plane saw when it took the attempt from its worker; absent where the worker reported it. */
  rescue: z
    .object({
      at: z.string(),
      leaseUntil: z.string(),
      workerSeenAt: z.string().optional(),
      workerState: z.enum(["starting", "alive", "draining", "stopped"]).optional(),
    })
    .optional(),
});
export type Attempt = z.infer<typeof attemptSchema>;

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
  })
  .meta({ id: "TaskSummary" });
export type TaskSummary = z.infer<typeof taskSummarySchema>;

export const taskPageSchema = z
  .object({ tasks: z.array(taskSummarySchema), cursor: z.string().optional() })
  .meta({ id: "TaskPage" });
export type TaskPage = z.infer<typeof taskPageSchema>;

export const taskSchema = taskSummarySchema
  .extend({ job: z.string(), cancelRequestedAt: z.string().optional(), attempts: z.array(attemptSchema) })
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

export const logLineSchema = z.object({
  /** 0-based number of the line in the log of its step or service. */
  line: z.number().int().nonnegative(),
  /** Absent in the log of a service. */
  step: z.number().int().min(1).optional(),
  /** Absent in the log of a step. */
  service: z.string().optional(),
  at: z.string(),
  stream: z.enum(["stdout", "stderr"]),
  text: z.string(),
  /** True where the line was not ended by a newline. */
  partial: z.boolean().optional(),
});
export type ApiLogLine = z.infer<typeof logLineSchema>;

/** A page of log lines. `cursor` resumes after the last of them; `complete` says that the attempt will write no more. */
export const logPageSchema = z
  .object({
    attempt: z.number().int(),
    lines: z.array(logLineSchema),
    cursor: z.string(),
    complete: z.boolean(),
  })
  .meta({ id: "LogPage" });
export type LogPage = z.infer<typeof logPageSchema>;

export const artifactListSchema = z
  .object({
    attempt: z.number().int(),
    artifacts: z.array(artifactSchema.omit({ key: true }).extend({ url: z.string(), expiresAt: z.string() })),
  })
  .meta({ id: "ArtifactList" });
export type ArtifactList = z.infer<typeof artifactListSchema>;

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

export const imageRequestSchema = z
  .object({ blobs: z.array(z.string().regex(digestPattern)).min(1).max(limits.imageBlobs) })
  .meta({ id: "ImageRequest" });

/**
 * Which blobs of an image the bucket lacks, and where to PUT each, compressed with zstd. A blob is called by the digest
 * of what it is compressed from: the image's configuration, or the archive (tar) of a layer.
 */
export const imageStatusSchema = z
  .object({ missing: z.array(z.object({ digest: z.string(), uploadUrl: z.string() })) })
  .meta({ id: "ImageStatus" });
export type ImageStatus = z.infer<typeof imageStatusSchema>;

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
    state: z.enum(["starting", "alive", "draining", "stopped"]),
    slots: z.number().int(),
    slotsFree: z.number().int(),
    held: z.number().int(),
    provider: z.string(),
    host: z.string(),
    version: z.string(),
    startedAt: z.string(),
    lastSeenAt: z.string(),
  })
  .meta({ id: "Worker" });
export type Worker = z.infer<typeof workerSchema>;

export const workerPageSchema = z
  .object({ workers: z.array(workerSchema), cursor: z.string().optional() })
  .meta({ id: "WorkerPage" });
export type WorkerPage = z.infer<typeof workerPageSchema>;

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

// ---- workers only ----

export const registerWorkerSchema = z
  .object({
    workerId: z.string().regex(/^w-[0-9a-z]{26}$/),
    pool: z.string(),
    slots: z.number().int().min(1),
    provider: z.enum(["local", "ec2", "openstack"]),
    host: z.string(),
    version: z.string(),
    processSteps: z.boolean(),
  })
  .meta({ id: "RegisterWorker" });
export type RegisterWorker = z.infer<typeof registerWorkerSchema>;

export const workerSettingsSchema = z
  .object({
    queueUrl: z.string(),
    bucket: z.string(),
    heartbeatMs: z.number().int(),
    leaseMs: z.number().int(),
    visibilityTimeoutSeconds: z.number().int(),
  })
  .meta({ id: "WorkerSettings" });
export type WorkerSettings = z.infer<typeof workerSettingsSchema>;

const heldAttemptSchema = z.object({ attemptId: z.string(), leaseToken: z.string() });

export const heartbeatSchema = z
  .object({
    state: z.enum(["alive", "draining", "stopped"]),
    slotsFree: z.number().int().nonnegative(),
    attempts: z.array(heldAttemptSchema).max(1024),
  })
  .meta({ id: "Heartbeat" });
export type Heartbeat = z.infer<typeof heartbeatSchema>;

/** For each attempt told: its lease was renewed, or it is lost and the worker must stop it and report nothing. */
export const heartbeatAnswerSchema = z
  .object({
    drain: z.boolean(),
    attempts: z.array(
      z.object({
        attemptId: z.string(),
        lease: z.enum(["renewed", "lost"]),
        cancel: z.object({ cause: z.enum(["user", "abort_policy", "job_timeout"]), detail: z.string() }).optional(),
        watched: z.boolean(),
      }),
    ),
  })
  .meta({ id: "HeartbeatAnswer" });
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

export const claimRequestSchema = z
  .object({
    claims: z
      .array(z.object({ jobId: z.string(), task: z.string(), bucket: z.number().int().nonnegative() }))
      .min(1)
      .max(limits.claimsPerCall),
  })
  .meta({ id: "ClaimRequest" });
export type ClaimRequest = z.infer<typeof claimRequestSchema>;

const claimedSchema = z.object({
  status: z.literal("claimed"),
  attemptId: z.string(),
  jobId: z.string(),
  task: z.string(),
  attempt: z.number().int(),
  leaseToken: z.string(),
  slots: z.number().int(),
  timeoutMs: z.number().int(),
  env: z.record(z.string(), z.string()),
  services: jobSpecSchema.shape.services,
  /** Values of the job's secrets by variable: the only answer that ever holds them. */
  secrets: z.record(z.string(), z.string()).default({}),
  /** The value of the secret that the job names as `registry_auth`: a Docker configuration. */
  registryAuth: z.string().optional(),
  steps: jobSpecSchema.shape.steps,
  artifacts: jobSpecSchema.shape.artifacts,
  /** Presigned URLs of the blobs of shipped images, by digest. */
  images: z.record(z.string(), z.string()),
});
export type ClaimedTask = z.infer<typeof claimedSchema>;

/**
 * Why a message's task may not be run: `drop` = it has ended or is gone, delete the message; `wait` = another attempt
 * still holds its lease, try again after the delay.
 */
const refusedSchema = z.discriminatedUnion("status", [
  z.object({ status: z.literal("drop"), detail: z.string() }),
  z.object({ status: z.literal("wait"), detail: z.string(), retryAfterSeconds: z.number().int().nonnegative() }),
]);

/** One answer for each claim, in the order of the request. */
export const claimAnswerSchema = z
  .object({ claims: z.array(z.union([claimedSchema, refusedSchema])) })
  .meta({ id: "ClaimAnswer" });
export type ClaimAnswer = z.infer<typeof claimAnswerSchema>;

/** How an attempt ended, or that it was given back unspent (`released`: a drain, a refused start). */
export const attemptResultSchema = z
  .object({
    leaseToken: z.string(),
    result: z.discriminatedUnion("kind", [
      z.object({
        kind: z.literal("ended"),
        outcome: attemptOutcomeSchema,
        steps: z.array(stepResultSchema),
        logs: z.array(logSummarySchema),
        artifacts: z.array(artifactSchema),
      }),
      z.object({ kind: z.literal("released"), reason: reasonSchema }),
    ]),
  })
  .meta({ id: "AttemptResult" });
export type AttemptResult = z.infer<typeof attemptResultSchema>;

/**
 * What the worker does with the message: `accepted` = delete it; `retry` = make it visible after the delay;
 * `lost` = the lease belongs to somebody else, leave the message alone.
 */
export const resultAnswerSchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("accepted") }),
    z.object({ status: z.literal("retry"), retryAfterSeconds: z.number().int().nonnegative() }),
    z.object({ status: z.literal("lost") }),
  ])
  .meta({ id: "ResultAnswer" });
export type ResultAnswer = z.infer<typeof resultAnswerSchema>;

/** Results of several attempts, such as of short tasks that end at about the same time. */
export const attemptResultsSchema = z
  .object({
    results: z
      .array(z.object({ attemptId: z.string().max(300), ...attemptResultSchema.shape }))
      .min(1)
      .max(limits.resultsPerCall),
  })
  .meta({ id: "AttemptResults" });

const resultFailedSchema = z.object({ status: z.literal("failed"), detail: z.string() });

/** One answer for each result, in the order of the request; `failed` = not taken, report it again. */
export const resultAnswersSchema = z
  .object({ results: z.array(z.union([resultAnswerSchema, resultFailedSchema])) })
  .meta({ id: "ResultAnswers" });
export type ResultAnswers = z.infer<typeof resultAnswersSchema>;
