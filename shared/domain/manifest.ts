import * as z from "zod";
import { footprintSchema, metricSnapshotSchema } from "./metric-sample.ts";
import { faults, reasonCodes } from "./reason.ts";
import { terminalTaskStates } from "./task-state.ts";

/** A reason as it is stored and sent. */
export const reasonSchema = z.object({
  code: z.enum(reasonCodes),
  detail: z.string(),
  fault: z.enum(faults),
});

/** What became of one step: absent times mean that it did not get there. Times are ISO 8601 of the worker's clock. */
export const stepResultSchema = z.object({
  index: z.number().int().min(1),
  name: z.string(),
  startedAt: z.string().optional(),
  endedAt: z.string().optional(),
  exitCode: z.number().int().optional(),
  /** True where the kernel killed a process of it for lack of memory, whatever it ended with. */
  outOfMemory: z.boolean().optional(),
});
export type StepResult = z.infer<typeof stepResultSchema>;

const storedObjectSchema = z.object({
  key: z.string(),
  size: z.number().int().nonnegative(),
  sha256: z.string(),
});

/** An artifact: the archive of a task's output. */
export const artifactSchema = storedObjectSchema.extend({
  /** What the user's file is called. */
  name: z.string(),
  /** Until when it is kept, where the job limits that; afterwards its object may be gone at any time. */
  keptUntil: z.string().optional(),
  /** What of the output it lacks and why, where something could not be read. */
  incomplete: z.string().optional(),
  /** What is in it: all its members, the files among them, and their bytes. Absent where an earlier version stored it. */
  content: z
    .object({
      members: z.number().int().nonnegative(),
      files: z.number().int().nonnegative(),
      bytes: z.number().int().nonnegative(),
    })
    .optional(),
  /** The object that lists its members, or the first of them; absent where there is none. */
  list: storedObjectSchema.extend({ members: z.number().int().nonnegative() }).optional(),
});
export type Artifact = z.infer<typeof artifactSchema>;

/** Totals of the log of one step or service: what a reader must have seen when it has seen all. Bytes are of its text. */
export const logSummarySchema = z.object({
  /** 1-based index of the step; absent for a service. */
  step: z.number().int().min(1).optional(),
  /** Name of the service; absent for a step. */
  service: z.string().optional(),
  name: z.string(),
  chunks: z.number().int().nonnegative(),
  lines: z.number().int().nonnegative(),
  bytes: z.number().int().nonnegative(),
  /** Bytes that were printed beyond the limit and not kept; absent where all of them were. */
  droppedBytes: z.number().int().positive().optional(),
});
export type LogSummary = z.infer<typeof logSummarySchema>;

/** How an attempt ended. */
export const attemptOutcomeSchema = z.object({
  state: z.enum(terminalTaskStates),
  exitCode: z.number().int().optional(),
  /** True where the failure is to be shown as a warning (exit 42). */
  warning: z.boolean().optional(),
  reason: reasonSchema.optional(),
});
export type AttemptOutcome = z.infer<typeof attemptOutcomeSchema>;

/**
 * `result.json`: the commit of an attempt, written once (If-None-Match) after all its data. Whoever finds it knows
 * how the attempt ended, even if nobody could be told at the time.
 */
export const manifestSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  task: z.string(),
  attempt: z.number().int().min(1),
  workerId: z.string(),
  outcome: attemptOutcomeSchema,
  startedAt: z.string(),
  endedAt: z.string(),
  steps: z.array(stepResultSchema),
  logs: z.array(logSummarySchema),
  artifacts: z.array(artifactSchema),
  /** Absent where no sample was taken: the attempt was over too soon. */
  footprint: footprintSchema.optional(),
  metrics: z.array(metricSnapshotSchema).optional(),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** `metrics/manifest.json`: the metric snapshots of an attempt that was not committed, written once after all of them. */
export const metricsManifestSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  task: z.string(),
  attempt: z.number().int().min(1),
  workerId: z.string(),
  footprint: footprintSchema.optional(),
  snapshots: z.array(metricSnapshotSchema),
});
export type MetricsManifest = z.infer<typeof metricsManifestSchema>;
