import * as z from "zod";

/** What travels through a pool's queue: where the task is and how many slots it needs, nothing else. */
export const taskMessageSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  task: z.string(),
  bucket: z.number().int().nonnegative(),
  slots: z.number().int().positive(),
  /** The task's revision when it was announced so; absent is its first. Tells whether it has moved since. */
  rev: z.number().int().positive().optional(),
});
export type TaskMessage = z.infer<typeof taskMessageSchema>;
