import * as z from "zod";
import { reasonSchema } from "./manifest.ts";
import { taskStates } from "./task-state.ts";
import { workerStates } from "./worker-state.ts";

/** Why a task is where it is: codes of waiting, of running, of having ended (those are the task's own state). */
export const whyCodes = [
  "being_written",
  "cancelling",
  "needs",
  "retry_backoff",
  "no_workers",
  "all_draining",
  "larger_than_any_worker",
  "no_free_slots",
  "not_announced",
  "about_to_start",
  "running",
  "worker_silent",
  "being_cancelled",
  "completed",
  "failed",
  "aborted",
  "skipped",
  "timed_out",
] as const;
export type WhyCode = (typeof whyCodes)[number];

/** Times are ISO 8601 of the control plane's clock, but those of steps and log lines, which are the worker's. */
const timeSchema = z.string();

const needFactSchema = z
  .object({ kind: z.literal("need"), task: z.string(), status: z.enum(taskStates) })
  .meta({ description: "A task that has to complete first." });

const needsFactSchema = z
  .object({ kind: z.literal("needs"), unmet: z.number().int() })
  .meta({ description: "How many of the tasks that have to complete first have not; some of them are listed." });

const expansionFactSchema = z
  .object({ kind: z.literal("expansion"), written: z.number().int(), total: z.number().int() })
  .meta({ description: "How many of a large job's tasks have been written down so far." });

const poolFactSchema = z
  .object({
    kind: z.literal("pool"),
    pool: z.string(),
    /** Workers heard of within the last three heartbeats, those that drain included. */
    workers: z.number().int(),
    draining: z.number().int(),
    slots: z.number().int(),
    slotsUsed: z.number().int(),
    /** Slots of the largest worker that takes tasks. */
    largestWorker: z.number().int(),
    /** When a worker of the pool was last heard of. */
    lastSeenAt: timeSchema.optional(),
    /** True where there are more workers than were looked at. */
    more: z.boolean(),
  })
  .meta({ description: "The pool's workers, as each told at its last heartbeat." });

const queueFactSchema = z
  .object({
    kind: z.literal("queue"),
    /** Queued tasks of jobs that were submitted earlier. */
    tasksBefore: z.number().int(),
    jobsBefore: z.number().int(),
    /** True where more jobs were submitted earlier than were looked at. */
    more: z.boolean(),
    /** Other queued tasks of the same job. */
    sameJob: z.number().int(),
  })
  .meta({ description: "What else waits in the pool. Jobs take turns: it need not all start before this task." });

const messageFactSchema = z
  .object({
    kind: z.literal("message"),
    /** Whether the task's message is known to have been sent. */
    sent: z.boolean(),
    /** When it is sent again should the task still wait. */
    againAt: timeSchema,
  })
  .meta({ description: "The message that announces the task to the pool's workers." });

const waitingFactSchema = z
  .object({ kind: z.literal("waiting"), since: timeSchema, slots: z.number().int() })
  .meta({ description: "Since when the task waits, and how many slots it needs." });

const retryFactSchema = z
  .object({
    kind: z.literal("retry"),
    nextAttempt: z.number().int(),
    /** The next attempt starts no earlier. */
    notBefore: timeSchema,
  })
  .meta({ description: "The pause before the next attempt." });

const cancelFactSchema = z
  .object({
    kind: z.literal("cancel"),
    cause: z.enum(["user", "abort_policy", "job_timeout"]),
    detail: z.string(),
    at: timeSchema,
  })
  .meta({ description: "Who or what asked for the end." });

const workerFactSchema = z
  .object({
    kind: z.literal("worker"),
    workerId: z.string(),
    host: z.string().optional(),
    state: z.enum(workerStates).optional(),
    lastSeenAt: timeSchema.optional(),
  })
  .meta({ description: "The worker that holds the task." });

const leaseFactSchema = z
  .object({
    kind: z.literal("lease"),
    attempt: z.number().int(),
    claimedAt: timeSchema,
    renewedAt: timeSchema,
    until: timeSchema,
  })
  .meta({ description: "How long the running attempt keeps its task without another word of its worker." });

const stepFactSchema = z
  .object({
    kind: z.literal("step"),
    step: z.number().int().min(1),
    name: z.string(),
    steps: z.number().int(),
    exitCode: z.number().int().optional(),
    outOfMemory: z.boolean().optional(),
  })
  .meta({
    description:
      "The newest step that has written to its log, the one that ended the attempt, or one of a completed task that lacked memory.",
  });

const reasonFactSchema = reasonSchema
  .extend({ kind: z.literal("reason") })
  .meta({ description: "Why the task did not complete, and whose fault it is." });

const logFactSchema = z
  .object({
    kind: z.literal("log"),
    attempt: z.number().int(),
    lines: z.array(
      z.object({
        step: z.number().int().optional(),
        at: timeSchema,
        stream: z.enum(["stdout", "stderr"]),
        text: z.string(),
        /** True where the beginning of the line is missing. */
        cut: z.boolean().optional(),
      }),
    ),
  })
  .meta({ description: "The last lines of the step that ended the attempt." });

const attemptFactSchema = z
  .object({
    kind: z.literal("attempt"),
    attempt: z.number().int().min(1),
    workerId: z.string(),
    claimedAt: timeSchema,
    endedAt: timeSchema.optional(),
    /** How it ended; absent while it runs, and where it was given back or lost. */
    status: z.enum(taskStates).optional(),
    exitCode: z.number().int().optional(),
    reason: reasonSchema.optional(),
  })
  .meta({ description: "One try at the task." });

/** A piece of evidence; `kind` says which. Readers leave out kinds they do not know. */
export const whyFactSchema = z.discriminatedUnion("kind", [
  needFactSchema,
  needsFactSchema,
  expansionFactSchema,
  poolFactSchema,
  queueFactSchema,
  messageFactSchema,
  waitingFactSchema,
  retryFactSchema,
  cancelFactSchema,
  workerFactSchema,
  leaseFactSchema,
  stepFactSchema,
  reasonFactSchema,
  logFactSchema,
  attemptFactSchema,
]);
export type WhyFact = z.infer<typeof whyFactSchema>;

/** One kind of evidence without the word that names it. */
export type FactOf<Kind extends WhyFact["kind"]> = Omit<Extract<WhyFact, { kind: Kind }>, "kind">;
