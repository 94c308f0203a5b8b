import * as z from "zod";
import { limits } from "../domain/limits.ts";
import {
  artifactSchema,
  attemptOutcomeSchema,
  logSummarySchema,
  reasonSchema,
  stepResultSchema,
} from "../domain/manifest.ts";
import { jobSpecSchema } from "../jobfile/job-spec.ts";

/** Bodies of what workers and the control plane say to each other. They are part of the HTTP API, see `schemas.ts`. */

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

const liveWishSchema = z.object({ id: z.string(), forMs: z.number() });
export type LiveWish = z.infer<typeof liveWishSchema>;

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
