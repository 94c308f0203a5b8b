import { isSilent } from "../../shared/domain/worker-state.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import type { Deps } from "../deps.ts";

/**
 * Writes down which of these workers are lost; answers how many it was the first to. Whoever looks at workers does this:
 * the sweep, who asks for workers or pools, a rescue. One after the other: workers of a pool write the same item.
 */
export async function noteSilent(deps: Deps, workers: readonly WorkerItem[]): Promise<number> {
  let lost = 0;
  for (const worker of workers) {
    if (!isSilent(worker, deps.now()) || !(await deps.workers.noteLost(worker.workerId, deps.now()))) continue;
    lost += 1;
    const { workerId, pool, heldAttempts } = worker;
    deps.log.warn({ workerId, pool, attempts: heldAttempts }, "a worker is lost: it was silent for three heartbeats");
  }
  return lost;
}
