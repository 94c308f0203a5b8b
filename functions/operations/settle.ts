import { findCrowdedOut } from "../../shared/domain/attempt-room.ts";
import type { AttemptKey } from "../../shared/domain/ids.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { decideRetry, type FailureCounts } from "../../shared/domain/retry-policy.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { AttemptEnd, AttemptLeft, LeaseProof, Requeue } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";

/** What became of a task whose attempt is over. `refused`: the lease is not the one of the proof any more. */
export type Settlement =
  | { kind: "ended" }
  | { kind: "requeued"; delaySeconds: number }
  | { kind: "refused"; task?: TaskItem };

/** Characters kept of the reason of an attempt that others follow: one item holds them all. */
const passingDetailLength = 500;

/** Ends the task of an attempt that ended or, where the retry policy says so, tries it again. */
export async function settleAttempt(
  deps: Deps,
  key: AttemptKey,
  proof: LeaseProof,
  reported: AttemptEnd,
): Promise<Settlement> {
  const end = boundEnd(reported);
  const { state, reason } = end.outcome;
  if (reason && (state === "failed" || state === "timed_out")) {
    const task = await deps.tasks.get(key.jobId, key.bucket, key.task);
    const decision = task && decideRetry(end.outcome, countOneMore(task), task.retry);
    if (task && decision?.retry) {
      const { delaySeconds, counted } = decision;
      const { outcome, rescue, ...left } = end;
      return requeueAttempt(deps, key, proof, {
        reason,
        counted,
        outcome,
        left,
        ...(rescue && { rescue }),
        crowdedOut: findEarlierCrowdedOut(task, key, left),
        delaySeconds,
        nowMs: deps.now(),
      });
    }
  }
  return endTask(deps, key, proof, end);
}

/** The failures of a task as they are with the attempt that ends now. */
function countOneMore({ attempt, infrastructureFailures, userFailures = 0 }: TaskItem): FailureCounts {
  return { attempt, infrastructureFailures: infrastructureFailures + 1, userFailures: userFailures + 1 };
}

/** Puts the task of an attempt back that was given up unspent, with what it left until then. */
export async function releaseAttempt(
  deps: Deps,
  key: AttemptKey,
  proof: LeaseProof,
  reason: Reason,
  left: AttemptLeft,
): Promise<Settlement> {
  const hasDetails = left.steps.length + left.logs.length > 0;
  const task = hasDetails ? await deps.tasks.get(key.jobId, key.bucket, key.task) : undefined;
  const crowdedOut = task ? findEarlierCrowdedOut(task, key, left) : [];
  const nowMs = deps.now();
  return requeueAttempt(deps, key, proof, { reason, counted: "nobody", left, crowdedOut, delaySeconds: 0, nowMs });
}

/** Notes what an attempt left that was given back before, which its worker only knows when that is stored. */
export async function noteLeft(
  deps: Deps,
  key: AttemptKey,
  leaseToken: string,
  task: TaskItem,
  { reason, left }: { reason: Reason; left: AttemptLeft },
): Promise<void> {
  const own = key.attempt - 1;
  const crowdedOut = findCrowdedOut(task.attempts.map((record, place) => (place === own ? left : record)));
  const hasRoom = !crowdedOut.includes(own);
  // One that was cancelled meanwhile has ended with a reason of its own.
  const wasGivenBack = task.attempts[own]?.outcome?.reason?.code === reason.code;
  await deps.tasks.noteLeft(key, leaseToken, {
    ...(wasGivenBack ? { reason: reasonFor(reason.code, reason.detail, passingDetailLength) } : {}),
    left: hasRoom ? left : { ...left, steps: [], logs: [] },
    crowdedOut: crowdedOut.filter((place) => place !== own),
  });
}

/** Earlier attempts, by their places, whose details have no room any more beside those of this one. */
function findEarlierCrowdedOut(task: TaskItem, key: AttemptKey, left: AttemptLeft): number[] {
  const earlier = task.attempts.slice(0, key.attempt - 1);
  return findCrowdedOut([...earlier, left]).filter((place) => place < earlier.length);
}

/** What a program printed may stand in a reason: it is cut, or the task's item would outgrow what the table takes. */
function boundEnd(end: AttemptEnd): AttemptEnd {
  const { reason, ...outcome } = end.outcome;
  if (!reason) return end;
  // Whose fault it is may be told otherwise than the code implies: an image that does not exist is the user's.
  return { ...end, outcome: { ...outcome, reason: { ...reasonFor(reason.code, reason.detail), fault: reason.fault } } };
}

/** Queues the task again, unless it was cancelled: then it ends, for a queued task has no worker that would hear of it. */
async function requeueAttempt(deps: Deps, key: AttemptKey, proof: LeaseProof, requeue: Requeue): Promise<Settlement> {
  const reason = reasonFor(requeue.reason.code, requeue.reason.detail, passingDetailLength);
  const move = await deps.tasks.requeue(key, proof, { ...requeue, reason });
  if (move.moved) return { kind: "requeued", delaySeconds: requeue.delaySeconds };
  if (move.task?.lease?.token === proof.token && move.task.cancel) {
    const { left = { steps: [], logs: [], artifacts: [] }, rescue } = requeue;
    return endTask(deps, key, proof, {
      ...left,
      ...(rescue && { rescue }),
      outcome: outcomeOfCancel(move.task.cancel),
    });
  }
  return { kind: "refused", ...(move.task ? { task: move.task } : {}) };
}

async function endTask(deps: Deps, key: AttemptKey, proof: LeaseProof, end: AttemptEnd): Promise<Settlement> {
  const move = await deps.tasks.endAttempt(key, proof, end, deps.now());
  if (move.moved) return { kind: "ended" };
  return { kind: "refused", ...(move.task ? { task: move.task } : {}) };
}
