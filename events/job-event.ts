import * as z from "zod";
import { artifactSchema, reasonSchema } from "../shared/domain/manifest.ts";
import { taskStates } from "../shared/domain/task-state.ts";

const taskState = z.enum(taskStates);
const counts = z.record(taskState, z.number().int().nonnegative());

/** Every event of a job: where it stands in the job's sequence (from 1, without gaps) and when it happened. */
const envelope = { v: z.literal(1), seq: z.number().int().min(1), jobId: z.string(), at: z.iso.datetime() };

/** The job was accepted: its name, pool, size and who sent it. Always the first event. */
export const jobSubmittedSchema = z.object({
  ...envelope,
  type: z.literal("job.submitted"),
  name: z.string(),
  pool: z.string(),
  tasks: z.number().int().min(1),
  submittedBy: z.string(),
});

/** The first task of the job started. */
export const jobStartedSchema = z.object({ ...envelope, type: z.literal("job.started") });

/** Somebody or something asked for the job's end; `cause` says what. */
export const jobCancelRequestedSchema = z.object({
  ...envelope,
  type: z.literal("job.cancel_requested"),
  cause: z.enum(["user", "abort_policy", "job_timeout"]),
  detail: z.string(),
});

/** Somebody asked for tasks to be run again: how many, and the names of the first of them. */
export const jobRetryRequestedSchema = z.object({
  ...envelope,
  type: z.literal("job.retry_requested"),
  by: z.string(),
  count: z.number().int().min(1),
  tasks: z.array(z.string()),
});

/** The last task of the job ended. Always the last event, unless tasks are retried afterwards. */
export const jobEndedSchema = z.object({
  ...envelope,
  type: z.literal("job.ended"),
  state: z.enum(["completed", "failed", "aborted"]),
  counts,
});

/** A task moved from one state to another. Fields beyond the states are those that the move brought. */
export const taskTransitionSchema = z.object({
  ...envelope,
  type: z.literal("task.transition"),
  task: z.string(),
  from: taskState,
  to: taskState,
  attempt: z.number().int().nonnegative(),
  workerId: z.string().optional(),
  exitCode: z.number().int().optional(),
  warning: z.boolean().optional(),
  reason: reasonSchema.optional(),
  artifacts: z.array(artifactSchema.pick({ name: true, size: true })).optional(),
});

/** Any event of a job. */
export const jobEventSchema = z.discriminatedUnion("type", [
  jobSubmittedSchema,
  jobStartedSchema,
  jobCancelRequestedSchema,
  jobRetryRequestedSchema,
  jobEndedSchema,
  taskTransitionSchema,
]);
export type JobEvent = z.infer<typeof jobEventSchema>;
export type TaskTransitionEvent = z.infer<typeof taskTransitionSchema>;

/** An event that has no place in the sequence yet: what a writer hands to the fold. */
export type Unsequenced<T> = T extends JobEvent ? Omit<T, "seq" | "v" | "jobId"> : never;
export type UnsequencedEvent = Unsequenced<JobEvent>;
