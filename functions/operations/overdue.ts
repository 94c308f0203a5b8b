import { reasonFor } from "../../shared/domain/reason.ts";
import { formatSpan } from "../../shared/domain/time-span.ts";
import { timing } from "../../shared/domain/timing.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { AttemptEnd } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";
import { readManifest } from "./rescue.ts";
import { type Settlement, settleAttempt } from "./settle.ts";

/**
 * When the running attempt of a task is overdue: its worker was to end it by its timeout, or as it was told to, and has
 * had all the time for it. Never for a task that does not run.
 */
export function overdueAtMs(task: TaskItem): number {
  const record = task.attempts[task.attempt - 1];
  if (!task.lease || !record) return Number.POSITIVE_INFINITY;
  const endMs = Date.parse(record.claimedAt) + task.lease.timeoutMs;
  const cancelMs = task.cancel ? Date.parse(task.cancel.at) : Number.POSITIVE_INFINITY;
  return Math.min(endMs, cancelMs) + timing.overdueMs;
}

/**
 * Ends an attempt that its worker does not end, however well it renews its lease: as its manifest says, or as timed out
 * or cancelled. The worker hears at its next heartbeat that the lease is gone, and stops what it has running.
 */
export async function endOverdue(deps: Deps, task: TaskItem): Promise<Settlement> {
  const { lease } = task;
  if (!lease) return { kind: "refused" };
  const end = (await readManifest(deps, task)) ?? decideEnd(task, lease);
  return settleAttempt(deps, task, { token: lease.token }, end);
}

function decideEnd(task: TaskItem, lease: NonNullable<TaskItem["lease"]>): AttemptEnd {
  const nothingLeft = { steps: [], logs: [], artifacts: [] };
  const deaf = `worker ${lease.workerId} renewed its lease but did not end it`;
  if (task.cancel) {
    const { cause, detail } = task.cancel;
    return { outcome: outcomeOfCancel({ cause, detail: `${detail}; ${deaf}` }), ...nothingLeft };
  }
  const detail = `the task did not end within its timeout of ${formatSpan(lease.timeoutMs)}; ${deaf}`;
  return { outcome: { state: "timed_out", reason: reasonFor("timed_out", detail) }, ...nothingLeft };
}
