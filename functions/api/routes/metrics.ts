import * as z from "zod";
import { taskMetricsSchema } from "../../../shared/api/metric-schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { parseSource, SeriesCollector } from "../../../shared/domain/metric-series.ts";
import type { AttemptRecord } from "../../../shared/repository/items.ts";
import type { Deps } from "../../deps.ts";
import { readSamples } from "../../operations/read-metrics.ts";
import { findTask } from "../find.ts";
import { inOrder } from "../in-order.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";

const sourcePattern = /^(task|host|step-\d{1,6}|service-[\w-]{1,63})$/;

const readRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/metrics",
  summary: "Read what an attempt used over time",
  description:
    "CPU, memory, disk and network of the newest attempt or of the one named, sampled every 5 s: of the task, of its " +
    "machine (`source=host`), or of one of its steps or services (`step-1`, `service-db`). Of a running attempt those " +
    "that are stored by now. Series are thinned to `points` (Largest Triangle Three Buckets); their extremes stay.",
  request: {
    params: taskParam,
    query: z.object({
      attempt: z.coerce.number().int().min(1).optional(),
      source: z.string().regex(sourcePattern).default("task"),
      points: z.coerce.number().int().min(4).max(limits.metricPoints).default(limits.defaultMetricPoints),
    }),
  },
  responses: { 200: jsonAnswer(taskMetricsSchema, "The series.") },
});

/** The route on what tasks use. */
export function metricRoutes(deps: Deps) {
  return createRouter().openapi(readRoute, async (c) => {
    const { job, task: name } = c.req.valid("param");
    const { source, points, ...query } = c.req.valid("query");
    const { task } = await findTask(deps, job, name);
    const attempt = query.attempt ?? task.attempt;
    if (attempt > task.attempt) throw new AppError("not_found", `task ${name} has no attempt ${attempt}`);
    const record = task.attempts[attempt - 1];
    const collector = new SeriesCollector(parseSource(source) ?? "task");
    const { unreadable, footprint, hasManifest } =
      record === undefined
        ? { unreadable: 0, footprint: undefined, hasManifest: false }
        : await readSamples(deps, { jobId: job, task: name, attempt }, (sample) => collector.add(sample));
    const total = record?.footprint ?? footprint;
    return c.json(
      inOrder(taskMetricsSchema, {
        job,
        task: name,
        attempt,
        source,
        sources: collector.sources,
        samples: collector.samples,
        ...(unreadable > 0 ? { unreadable } : {}),
        complete: hasManifest || hasToldAll(record),
        ...(total ? { footprint: total } : {}),
        series: collector.series(points),
      }),
      200,
    );
  });
}

/** A worker that tells what became of the steps of an attempt has stored its samples before, or never will. */
function hasToldAll(record: AttemptRecord | undefined): boolean {
  if (record?.endedAt === undefined || record.rescue !== undefined) return false;
  return record.outcome?.state !== undefined || (record.steps ?? []).length > 0;
}
