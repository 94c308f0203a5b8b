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
    const progress = await carryOut(deps, digest, plan, items, { seq: retry.seq, deadlineMs });
    if (progress !== "late") continue;
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

/** How far a plan was carried out: `raced` = something had moved, plan again; `late` = out of time. */
type Progress = "done" | "raced" | "late";

/**
 * Makes the moves of a plan. What waits comes first: should one of those have moved meanwhile nothing that it waits for
 * begins by this plan, for later plans would not know of the two.
 */
async function carryOut(
  deps: Deps,
  digest: JobDigest,
  plan: RetryPlan,
  items: ReadonlyMap<string, TaskItem>,
  { seq, deadlineMs }: { seq: number; deadlineMs: number },
): Promise<Progress> {
  const limit = pLimit(parallelMoves);
  const inBatches = async <Step>(
    steps: readonly Step[],
    work: (batch: readonly Step[]) => Promise<boolean>,
  ): Promise<Progress> => {
    for (let start = 0; start < steps.length; start += batchSize) {
      if (deps.now() > deadlineMs) return "late";
      if (!(await work(steps.slice(start, start + batchSize)))) return "raced";
    }
    return "done";
  };
  const rewait = async ({ task, needs }: RetryPlan["rewait"][number]) => {
    const item = items.get(task);
    const seen = needs.flatMap((need) => items.get(need) ?? []);
    return item === undefined || deps.tasks.waitAgain(item, seen);
  };
  const restart = async ({ task, waitingFor }: RetryPlan["restart"][number]) => {
    const item = items.get(task);
    return item && deps.tasks.revive(item, deps.now(), { waitingFor, retriedSeq: seq });
  };
  const rewaited = await inBatches(plan.rewait, async (batch) => {
    const moves = await Promise.all(batch.map((step) => limit(() => rewait(step))));
    return moves.every((moved) => moved);
  });
  if (rewaited !== "done") return rewaited;
  const waits = plan.restart.filter(({ waitingFor }) => waitingFor.length > 0);
  const waited = await inBatches(waits, async (batch) => {
    const moves = await Promise.all(batch.map((step) => limit(() => restart(step))));
    return moves.every((move) => move?.moved);
  });
  if (waited !== "done") return waited;
  const ready = plan.restart.filter(({ waitingFor }) => waitingFor.length === 0);
  return inBatches(ready, async (batch) => {
    const moves = await Promise.all(batch.map((step) => limit(() => restart(step))));
    await dispatchTasks(
      findPool(deps, digest.pool),
      moves.flatMap((move) => (move?.moved ? [move.task] : [])),
    );
    return true;
  });
}
