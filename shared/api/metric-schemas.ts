import * as z from "zod";
import { footprintSchema } from "../domain/metric-sample.ts";

const metricSeriesSchema = z.object({
  metric: z.string(),
  unit: z.string(),
  /** Of all samples, also where there are fewer points. */
  min: z.number(),
  max: z.number(),
  /** Each a time of the worker's clock (ms since the epoch) and a value, in the order of time. */
  points: z.array(z.tuple([z.number(), z.number()])),
});

/** What an attempt of a task used over time. */
export const taskMetricsSchema = z
  .object({
    job: z.string(),
    task: z.string(),
    /** 0 where the task has not begun. */
    attempt: z.number().int(),
    source: z.string(),
    /** What can be asked for: `task`, `host`, and a word for each step and service that was sampled. */
    sources: z.array(z.string()),
    /** How often it was sampled. */
    samples: z.number().int(),
    /** Snapshots of samples that are damaged: the series lack them. Absent where there are none. */
    unreadable: z.number().int().optional(),
    /** False while there may be more: it runs, or its worker died and no other has stored the rest yet. */
    complete: z.boolean(),
    footprint: footprintSchema.optional(),
    series: z.array(metricSeriesSchema),
  })
  .meta({ id: "TaskMetrics" });
export type TaskMetrics = z.infer<typeof taskMetricsSchema>;
