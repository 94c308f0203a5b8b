import { z } from "zod";

/** What travels through a pool's queue: where the task is and how many slots it needs, nothing else. */
export const taskMessageSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  task: z.string(),
  bucket: z.number().int().nonnegative(),
  slots: z.number().int().positive(),
  /** Attempts the task had had when it was announced so; absent is none. */
  attempt: z.number().int().positive().optional(),
});
export type TaskMessage = z.infer<typeof taskMessageSchema>;
