import * as z from "zod";
import { fleetEventSchema, heldAttemptSchema } from "../../events/index.ts";
import { faults, reasonCodes } from "../domain/reason.ts";
import { taskStates } from "../domain/task-state.ts";
import { jobSchema, poolSchema, workerSchema } from "./schemas.ts";

/** What an overview is made of; each part can be asked for by itself. */
export const overviewParts = ["pools", "queues", "jobs", "failures", "events"] as const;
export type OverviewPart = (typeof overviewParts)[number];

/** How many messages wait in a pool's queue, as SQS counts them: approximately. */
export const queueDepthSchema = z
  .object({
    pool: z.string(),
    /** Messages that can be received; absent, as the other counts, where the queue could not be asked. */
    visible: z.number().int().optional(),
    /** Messages that were received and not yet deleted. */
    inFlight: z.number().int().optional(),
    /** Messages that cannot be received yet. */
    delayed: z.number().int().optional(),
    /**
     * When the oldest job was submitted that has queued tasks: none of them waits longer. Absent where that cannot be
     * told at a glance.
     */
    oldestQueuedAt: z.string().optional(),
    /** Messages in the dead-letter queue and, of the 100 newest on record, those that were not redriven. */
    deadLetters: z.number().int().optional(),
    /** Why the queue could not be asked. */
    error: z.string().optional(),
  })
  .meta({ id: "QueueDepth" });
export type QueueDepth = z.infer<typeof queueDepthSchema>;

/** The jobs of now. */
export const overviewJobsSchema = z
  .object({
    /** Queued or running, the newest first, at most 50. */
    active: z.array(jobSchema),
    activeCount: z.number().int(),
    /** True where there are more active ones than were counted. */
    more: z.boolean(),
    /** The ten that ended last, of the 200 newest jobs of the last 24 hours. */
    ended: z.array(jobSchema),
  })
  .meta({ id: "OverviewJobs" });
export type OverviewJobs = z.infer<typeof overviewJobsSchema>;

/** Why attempts did not end well, over the newest jobs that were submitted since then. */
export const failuresSchema = z
  .object({
    /** The beginning of the hour that was 24 hours ago. */
    since: z.string(),
    /** Jobs looked at: the newest, at most 200. */
    jobs: z.number().int(),
    /** True where more were submitted since then. */
    more: z.boolean(),
    /** The most frequent first. */
    reasons: z.array(
      z.object({
        code: z.enum(reasonCodes),
        fault: z.enum(faults),
        attempts: z.number().int(),
        /** Jobs that have such attempts. */
        jobs: z.number().int(),
        /** The newest of them. */
        lastJob: z.string(),
      }),
    ),
  })
  .meta({ id: "Failures" });
export type Failures = z.infer<typeof failuresSchema>;

/** How everything is at `at`: those parts that were asked for or, in a stream, one that has changed. */
export const overviewSchema = z
  .object({
    at: z.string(),
    pools: z.array(poolSchema).optional(),
    queues: z.array(queueDepthSchema).optional(),
    jobs: overviewJobsSchema.optional(),
    failures: failuresSchema.optional(),
    /** Events of all pools and their workers, the newest first. */
    events: z.array(fleetEventSchema).optional(),
  })
  .meta({ id: "Overview" });
export type Overview = z.infer<typeof overviewSchema>;

/** A worker with what it holds and what happened to it lately. */
export const workerDetailSchema = workerSchema
  .extend({
    /** Tasks that it holds, the one claimed last first, at most 200. */
    tasks: z.array(
      heldAttemptSchema
        .pick({ task: true, attempt: true })
        .extend({ job: z.string(), claimedAt: z.string(), status: z.enum(taskStates) }),
    ),
    /** Its 20 newest events, the newest first. */
    events: z.array(fleetEventSchema),
  })
  .meta({ id: "WorkerDetail" });
export type WorkerDetail = z.infer<typeof workerDetailSchema>;
