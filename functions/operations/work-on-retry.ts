import pLimit from "p-limit";
import type { RetryPlan } from "../../shared/domain/retry-plan.ts";
import type { Chore, JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { dispatchTasks, findPool } from "./dispatch.ts";
import { getRetryList, planByTasks } from "./retry-list.ts";

const batchSize = 100;
const parallelMoves = 8;
const planTries = 20;

/**
 * Carries out a retry: what waits for the tasks waits again first, the tasks themselves are queued last. It is planned
 * by the tasks as they are, again and again until nothing is left to do, so that a crash or a race costs a round. The
 * graph is not moved on meanwhile.
 */
export async function workOnRetry(deps: Deps, chore: Chore, deadlineMs: number): Promise<void> {
  const { jobId, nonce, retry } = chore;
  if (!retry) throw new Error(`the retry of ${jobId} says nothing of what was asked for`);
  const list = await getRetryList(deps, jobId, nonce);
  for (let tries = 0; tries < planTries; tries++) {
    const digest = await deps.jobs.getDigest(jobId);
    if (!digest) return;
    // Tasks that were moved after the cancel's own chore passed them would go on for ever: it begins again.
    if (digest.cancel) {
      await deps.jobs.putCancelChore(jobId, deps.now());
      return endRetry(deps, chore, digest);
    }
    const { plan, items } = await planByTasks(deps, digest, new Map(list.chosen), retry.wasCancelled);
    if (plan.rewait.length + plan.restart.length === 0) return endRetry(deps, chore, digest);
    if (await carryOut(deps, digest, plan, items, { seq: retry.seq, deadlineMs })) continue;
    // The time is up. The change of the chore comes down the stream and goes on with it.
    await deps.jobs.moveChore(chore, `${Number(chore.cursor) + 1}`);
    return;
  }
  throw new Error(`the tasks of ${jobId} move too fast to be retried`);
}

async function endRetry(deps: Deps, chore: Chore, digest: JobDigest): Promise<void> {
  if (digest.graph) await deps.jobs.endChoreAndAdvance(chore, deps.now());
  else await deps.jobs.endChore(chore);
}

/** Makes the moves of a plan; those that somebody else was faster with are left to the next plan. False: out of time. */
async function carryOut(
  deps: Deps,
  digest: JobDigest,
  plan: RetryPlan,
  items: ReadonlyMap<string, TaskItem>,
  { seq, deadlineMs }: { seq: number; deadlineMs: number },
): Promise<boolean> {
  const limit = pLimit(parallelMoves);
  const inBatches = async <Step>(steps: readonly Step[], work: (batch: readonly Step[]) => Promise<void>) => {
    for (let start = 0; start < steps.length; start += batchSize) {
      if (deps.now() > deadlineMs) return false;
      await work(steps.slice(start, start + batchSize));
    }
    return true;
  };
  const rewaited = await inBatches(plan.rewait, async (batch) => {
    await Promise.all(
      batch.map(({ task, needs }) =>
        limit(async () => {
          const item = items.get(task);
          if (item) await deps.tasks.waitAgain(item, needs);
        }),
      ),
    );
  });
  return (
    rewaited &&
    (await inBatches(plan.restart, async (batch) => {
      const moves = await Promise.all(
        batch.map(({ task, waitingFor }) =>
          limit(async () => {
            const item = items.get(task);
            return item && deps.tasks.revive(item, deps.now(), { waitingFor, retriedSeq: seq });
          }),
        ),
      );
      const revived = moves.flatMap((move) => (move?.moved ? [move.task] : []));
      const queued = revived.filter(({ state }) => state === "queued");
      await dispatchTasks(findPool(deps, digest.pool), queued);
    }))
  );
}
