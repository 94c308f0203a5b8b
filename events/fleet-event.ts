import * as z from "zod";

/**
 * Every event of a pool and its workers: its place in the pool's sequence (from 1, without gaps) and when it happened,
 * by the control plane's clock. What one move of a worker tells is written with that move, in one transaction.
 */
const envelope = { v: z.literal(1), seq: z.number().int().min(1), pool: z.string(), at: z.iso.datetime() };
const ofWorker = { ...envelope, workerId: z.string() };

/** An attempt that a worker held. */
export const heldAttemptSchema = z.object({ jobId: z.string(), task: z.string(), attempt: z.number().int() });
export type HeldAttempt = z.infer<typeof heldAttemptSchema>;

/** A worker's first heartbeat. */
export const workerStartedSchema = z.object({
  ...ofWorker,
  type: z.literal("worker_started"),
  host: z.string(),
  version: z.string(),
  slots: z.number().int(),
});

/** The worker takes nothing new: why, as far as it told. */
export const workerDrainingSchema = z.object({
  ...ofWorker,
  type: z.literal("worker_draining"),
  cause: z.object({ kind: z.string(), detail: z.string().optional() }).optional(),
});

/** The worker takes tasks again. */
export const workerUndrainedSchema = z.object({ ...ofWorker, type: z.literal("worker_undrained") });

/** The worker said that it ends; `clean` where it left no attempt behind. */
export const workerStoppedSchema = z.object({
  ...ofWorker,
  type: z.literal("worker_stopped"),
  clean: z.boolean(),
  abandoned: z.array(heldAttemptSchema),
});

/** The worker was silent for three heartbeats; `tasks` are those that it held then. */
export const workerLostSchema = z.object({
  ...ofWorker,
  type: z.literal("worker_lost"),
  host: z.string(),
  from: z.enum(["starting", "alive", "draining"]),
  lastSeenAt: z.iso.datetime(),
  tasks: z.array(heldAttemptSchema),
});

/** A worker that counted as lost was heard of again. */
export const workerReturnedSchema = z.object({
  ...ofWorker,
  type: z.literal("worker_returned"),
  lastSeenAt: z.iso.datetime(),
});

/** What a worker found out about its machine, and what its tries to mend it came to. */
export const healthSchema = z.object({
  ...ofWorker,
  type: z.enum(["health", "recovering", "recovered", "recovery_failed"]),
  detail: z.string().optional(),
  attempt: z.number().int().optional(),
});

/** Somebody asked a worker to drain, or to go on after all. */
export const drainRequestedSchema = z.object({
  ...ofWorker,
  type: z.enum(["drain_requested", "undrain_requested"]),
  by: z.string(),
});

/** The pool has one live worker more: a new one, or one that was lost. */
export const scaleUpSchema = z.object({
  ...ofWorker,
  type: z.literal("scale_up"),
  from: z.number().int(),
  to: z.number().int(),
  kind: z.enum(["started", "returned"]),
  recoveredFrom: z.enum(["crashed", "degraded"]).optional(),
});

/** The pool has one live worker less; `kind` says how that one ended. */
export const scaleDownSchema = z.object({
  ...ofWorker,
  type: z.literal("scale_down"),
  from: z.number().int(),
  to: z.number().int(),
  kind: z.enum(["clean", "abandoned", "lost"]),
});

/** Somebody had the pool's past workers forgotten. */
export const poolForgottenSchema = z.object({
  ...envelope,
  type: z.literal("pool_forgotten"),
  by: z.string(),
});

/** Somebody said how many workers the pool should have; null: nobody says. */
export const desiredChangedSchema = z.object({
  ...envelope,
  type: z.literal("desired_changed"),
  by: z.string(),
  from: z.number().int().nullable(),
  to: z.number().int().nullable(),
});

/** Any event of a pool. */
export const fleetEventSchema = z.discriminatedUnion("type", [
  workerStartedSchema,
  workerDrainingSchema,
  workerUndrainedSchema,
  workerStoppedSchema,
  workerLostSchema,
  workerReturnedSchema,
  healthSchema,
  drainRequestedSchema,
  scaleUpSchema,
  scaleDownSchema,
  desiredChangedSchema,
  poolForgottenSchema,
]);
export type FleetEvent = z.infer<typeof fleetEventSchema>;
export type FleetEventType = FleetEvent["type"];

/** All types of fleet events. */
export const fleetEventTypes = fleetEventSchema.options.flatMap(({ shape: { type } }): FleetEventType[] =>
  type instanceof z.ZodEnum ? type.options : [...type.values],
);

/** An event that has no place in its pool's sequence yet. */
type Unplaced<T> = T extends FleetEvent ? Omit<T, "v" | "seq" | "pool" | "at"> : never;
export type UnplacedFleetEvent = Unplaced<FleetEvent>;
