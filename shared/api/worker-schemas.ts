import * as z from "zod";
import { limits } from "../domain/limits.ts";
import {
  artifactSchema,
  attemptOutcomeSchema,
  logSummarySchema,
  reasonSchema,
  stepResultSchema,
} from "../domain/manifest.ts";
import { footprintSchema } from "../domain/metric-sample.ts";
import { jobSpecSchema } from "../jobfile/job-spec.ts";

/** Bodies of what workers and the control plane say to each other. They are part of the HTTP API, see `schemas.ts`. */

const shortText = z.string().min(1).max(200);

export const registerWorkerSchema = z
  .object({
    workerId: z.string().regex(/^w-[0-9a-z]{26}$/),
    pool: z.string(),
    slots: z.number().int().min(1),
    provider: z.enum(["local", "ec2", "openstack"]),
    host: z.string().max(255),
    version: shortText,
    processSteps: z.boolean(),
    /** What the provider calls the machine, and its shape. */
    instanceId: shortText.optional(),
    instanceType: shortText.optional(),
    /** Digest of the machine's or the worker's own image. */
    imageDigest: shortText.optional(),
    /** Which build of the version it is. */
    build: shortText.optional(),
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

const attemptIdSchema = z.string().max(300);
const heldAttemptSchema = z.object({ attemptId: attemptIdSchema, leaseToken: z.string() });
const bytesSchema = z.number().int().nonnegative();

/** How busy a worker's machine is: `cpu` is a fraction of all its cores, the disk is the one of its workspaces. */
export const hostUseSchema = z
  .object({
    cpu: z.number().nonnegative(),
    memoryBytes: z.object({ used: bytesSchema, total: bytesSchema }),
    diskBytes: z.object({ free: bytesSchema, total: bytesSchema }),
  })
  .meta({ id: "HostUse" });

const maxDetailLength = 1000;
/** Cut rather than refused: a heartbeat that is refused costs the worker its leases. */
const detailSchema = z.string().overwrite((text) => text.slice(0, maxDetailLength));

/** What a worker found when it looked at its own machine; `attempt` counts the tries to mend it. */
export const workerHealthSchema = z
  .object({
    state: z.enum(["healthy", "recovering", "recovered", "recovery_failed"]),
    detail: detailSchema.optional(),
    attempt: z.number().int().min(1).optional(),
  })
  .meta({ id: "WorkerHealth" });
export type WorkerHealth = z.infer<typeof workerHealthSchema>;

/** Why a worker drains; `kind` is one word, such as `signal`. */
export const drainCauseSchema = z.object({ kind: z.string().min(1).max(32), detail: detailSchema.optional() });

const maxHeldAttempts = 1024;

export const heartbeatSchema = z
  .object({
    state: z.enum(["alive", "draining", "stopped"]),
    slotsFree: z.number().int().nonnegative(),
    attempts: z.array(heldAttemptSchema).max(maxHeldAttempts),
    /** Counts the worker's heartbeats, from 1: one that arrives after a later one changes no state. */
    number: z.number().int().min(1).optional(),
    host: hostUseSchema.optional(),
    health: workerHealthSchema.optional(),
    drainCause: drainCauseSchema.optional(),
    /** Of the last heartbeat: attempts that were neither ended nor given back. */
    abandoned: z.array(attemptIdSchema).max(maxHeldAttempts).optional(),
    /** Of the last heartbeat: the worker stays where nobody wants it to drain any more; the answer tells. */
    mayStay: z.boolean().optional(),
  })
  .meta({ id: "Heartbeat" });
export type Heartbeat = z.infer<typeof heartbeatSchema>;

const liveWishSchema = z.object({ id: z.string(), forMs: z.number() });
export type LiveWish = z.infer<typeof liveWishSchema>;

/** For each attempt told: its lease was renewed, or it is lost and the worker must stop it and report nothing. */
export const heartbeatAnswerSchema = z
  .object({
    /** Whether somebody asked the worker to drain; false again: it was asked to go on after all. */
    drain: z.boolean(),
    /** The worker asked whether it may stay, and is to: it is not noted as stopped. */
    stay: z.literal(true).optional(),
    /** A worker of an older version than this drains by itself. */
    requiredVersion: z.string().optional(),
    attempts: z.array(
      z.object({
        attemptId: z.string(),
        lease: z.enum(["renewed", "lost"]),
        cancel: z.object({ cause: z.enum(["user", "abort_policy", "job_timeout"]), detail: z.string() }).optional(),
        watched: z.boolean(),
        /** Somebody wants what the attempt has written so far, within this time. Told until then, also when it is done. */
        live: liveWishSchema.optional(),
      }),
    ),
  })
  .meta({ id: "HeartbeatAnswer" });
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

/**
 * The worker chooses the token of the lease that it asks for: a claim that is sent again, because its answer got lost, is
 * granted again.
 */
export const claimRequestSchema = z
  .object({
    claims: z
      .array(
        z.object({
          jobId: z.string(),
          task: z.string(),
          bucket: z.number().int().nonnegative(),
          leaseToken: z.uuid(),
        }),
      )
      .min(1)
      .max(limits.claimsPerCall),
  })
  .meta({ id: "ClaimRequest" });
/** A worker's claim of one task. */
export type TaskClaimRequest = z.infer<typeof claimRequestSchema>["claims"][number];

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
  /** For each of the slots. */
  resources: jobSpecSchema.shape.resources,
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

/** What an attempt leaves. */
const leftSchema = z.object({
  steps: z.array(stepResultSchema),
  logs: z.array(logSummarySchema),
  artifacts: z.array(artifactSchema),
  footprint: footprintSchema.optional(),
});

/**
 * How an attempt ended, or that it was given back unspent (`released`: a drain, a refused start), with what it left until
 * then. What an attempt left may also be told later: that report names the same lease, and moves nothing.
 */
export const attemptResultSchema = z
  .object({
    leaseToken: z.string(),
    result: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("ended"), outcome: attemptOutcomeSchema, ...leftSchema.shape }),
      z.object({ kind: z.literal("released"), reason: reasonSchema, ...leftSchema.partial().shape }),
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
