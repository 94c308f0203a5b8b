import type { AttemptResult, ResultAnswer } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { type AttemptKey, parseAttemptId } from "../../shared/domain/ids.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { decideRetry } from "../../shared/domain/retry-policy.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { AttemptEnd, TaskMove } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";

const nothingLeft: Omit<AttemptEnd, "outcome"> = { steps: [], logs: [], artifacts: [] };

/** Takes the result of an attempt, fenced by its lease token. Reporting the same result again is accepted again. */
export async function reportResult(deps: Deps, attemptId: string, report: AttemptResult): Promise<ResultAnswer> {
  const key = parseAttemptId(attemptId);
  if (!key) throw new AppError("invalid_request", `"${attemptId}" is no attempt id`);
  const { result, leaseToken } = report;
  if (result.kind === "released") return releaseAttempt(deps, key, leaseToken, result.reason);
  const { outcome, steps, logs, artifacts } = result;
  const end = { outcome, steps, logs, artifacts };
  if (outcome.reason?.fault === "infrastructure" && outcome.state !== "aborted") {
    const retried = await retryAttempt(deps, key, leaseToken, end, outcome.reason);
    if (retried) return retried;
  }
  return answerMove(key, leaseToken, await deps.tasks.endAttempt(key, { token: leaseToken }, end, deps.now()));
}

/** Puts the task back for another attempt; undefined where the policy says that this was the last. */
async function retryAttempt(
  deps: Deps,
  key: AttemptKey,
  leaseToken: string,
  end: AttemptEnd,
  reason: Reason,
): Promise<ResultAnswer | undefined> {
  const task = await deps.tasks.get(key.jobId, key.bucket, key.task);
  if (!task || task.cancel) return undefined;
  const decision = decideRetry(reason, task.infrastructureFailures + 1);
  if (!decision.retry) return undefined;
  const move = await deps.tasks.requeue(key, { token: leaseToken }, { reason, counted: true, end, nowMs: deps.now() });
  if (move.moved) return { status: "retry", retryAfterSeconds: decision.delaySeconds };
  return answerMove(key, leaseToken, move);
}

async function releaseAttempt(deps: Deps, key: AttemptKey, leaseToken: string, reason: Reason): Promise<ResultAnswer> {
  const task = await deps.tasks.get(key.jobId, key.bucket, key.task);
  if (task?.cancel && task.lease?.token === leaseToken) {
    const outcome = { state: "aborted" as const, reason: reasonFor("cancelled", task.cancel.detail) };
    const move = await deps.tasks.endAttempt(key, { token: leaseToken }, { outcome, ...nothingLeft }, deps.now());
    return answerMove(key, leaseToken, move);
  }
  const move = await deps.tasks.requeue(key, { token: leaseToken }, { reason, counted: false, nowMs: deps.now() });
  if (move.moved) return { status: "retry", retryAfterSeconds: 0 };
  return answerMove(key, leaseToken, move);
}

function answerMove(key: AttemptKey, leaseToken: string, move: TaskMove): ResultAnswer {
  if (move.moved) return { status: "accepted" };
  return move.task ? answerRepeat(key, leaseToken, move.task) : { status: "lost" };
}

/** The lease is gone: because this very report was taken before (its answer got lost), or to somebody else. */
function answerRepeat(key: AttemptKey, leaseToken: string, task: TaskItem): ResultAnswer {
  const record = task.attempts[key.attempt - 1];
  if (record?.leaseToken !== leaseToken || record.endedAt === undefined) return { status: "lost" };
  if (task.attempt === key.attempt && task.state === "queued") return { status: "retry", retryAfterSeconds: 0 };
  return { status: record.outcome?.state === undefined ? "lost" : "accepted" };
}
