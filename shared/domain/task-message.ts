import { z } from "zod";

/** What travels through a pool's queue: where the task is and how many slots it needs, nothing else. */
export const taskMessageSchema = z.object({
  v: z.literal(1),
  jobId: z.string(),
  task: z.string(),
  bucket: z.number().int().nonnegative(),
  slots: z.number().int().positive(),
});
export type TaskMessage = z.infer<typeof taskMessageSchema>;
