import { formatAttemptId } from "../../shared/domain/ids.ts";
import { timing } from "../../shared/domain/timing.ts";
import { isSilent } from "../../shared/domain/worker-state.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import type { Deps } from "../deps.ts";

/** What somebody waits for an answer for: the sweep has the time for all of them. */
export const mostNotedForAnswer = 25;

/**
 * Writes down which of these workers are lost; answers how many it was the first to. Whoever looks at workers does this:
 * the sweep, who asks for workers or pools, a rescue. One after the other: workers of a pool write the same item. What
 * fails for one is thrown after the others had their turn. Those beyond `most`, and those whose turn comes after
 * `deadlineMs`, are left to the next who looks.
 */
export async function noteSilent(
  deps: Deps,
  workers: readonly WorkerItem[],
  {
    most = Number.POSITIVE_INFINITY,
    deadlineMs = Number.POSITIVE_INFINITY,
  }: { most?: number; deadlineMs?: number } = {},
): Promise<number> {
  let lost = 0;
  const failures: unknown[] = [];
  for (const worker of workers.filter((one) => isSilent(one, deps.now())).slice(0, most)) {
    if (deps.now() > deadlineMs) break;
    try {
      if (await noteLost(deps, worker)) lost += 1;
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "that workers are lost could not be written down");
  return lost;
}

async function noteLost(deps: Deps, { workerId, pool, heldAttempts = [], lastSeenMs }: WorkerItem): Promise<boolean> {
  // What it has claimed since its last heartbeat, of which that could not tell.
  const claimed = await deps.tasks.listClaimedBetween(workerId, lastSeenMs, lastSeenMs + timing.workerSilentMs);
  const attempts = new Set([...heldAttempts, ...claimed.map(formatAttemptId)]);
  if (!(await deps.workers.noteLost(workerId, [...attempts], deps.now()))) return false;
  deps.log.warn({ workerId, pool, attempts: [...attempts] }, "a worker is lost: it was silent for three heartbeats");
  return true;
}
