import type { AttemptTimes } from "../../shared/api/schemas.ts";
import type { AttemptRecord, TaskItem } from "../../shared/repository/items.ts";

/** The attempts of a task as a timeline shows them, the oldest first. */
export function timeAttempts({ task, attempts }: Pick<TaskItem, "task" | "attempts">): AttemptTimes[] {
  return attempts.map((record, index) => {
    const { outcome } = record;
    return {
      task,
      attempt: index + 1,
      workerId: record.workerId,
      claimedAt: record.claimedAt,
      ...(record.waitedMs === undefined ? {} : { waitedMs: record.waitedMs }),
      ...timePhases(record),
      ...(outcome?.state ? { state: outcome.state } : {}),
      ...(outcome?.warning ? { warning: true as const } : {}),
      ...(outcome?.reason ? { reason: outcome.reason.code } : {}),
    };
  });
}

/**
 * Steps are timed by the worker's clock, the rest by the control plane's. Spans of one clock are kept as they are; where
 * the clocks disagree, what lies between them gives way, and all parts together are never longer than the whole.
 */
function timePhases(record: AttemptRecord): Pick<AttemptTimes, "leaseMs" | "runMs" | "totalMs"> {
  const claimedMs = Date.parse(record.claimedAt);
  const totalMs = record.endedAt === undefined ? undefined : Math.max(0, Date.parse(record.endedAt) - claimedMs);
  const begun = record.steps?.flatMap(({ startedAt, endedAt }) => (startedAt ? [{ startedAt, endedAt }] : [])) ?? [];
  const [first] = begun;
  const whole = totalMs === undefined ? {} : { totalMs };
  if (!first) return whole;
  const longestMs = totalMs ?? Number.POSITIVE_INFINITY;
  const firstMs = Date.parse(first.startedAt);
  const endsMs = begun.map(({ startedAt, endedAt }) => Date.parse(endedAt ?? startedAt));
  const runMs = clamp(Math.max(...endsMs) - firstMs, longestMs);
  return { leaseMs: clamp(firstMs - claimedMs, longestMs - runMs), runMs, ...whole };
}

function clamp(ms: number, longestMs: number): number {
  return Math.max(0, Math.min(ms, longestMs));
}
