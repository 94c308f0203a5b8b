import type { AttemptResult, ResultAnswer, ResultAnswers } from "../../shared/api/worker-schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { type AttemptKey, parseAttemptId } from "../../shared/domain/ids.ts";
import { decideRetry } from "../../shared/domain/retry-policy.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { LeaseProof } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { noteLeft, releaseAttempt, settleAttempt } from "./settle.ts";

/** Takes the result of an attempt, fenced by its lease token. Reporting the same result again is accepted again. */
export async function reportResult(deps: Deps, attemptId: string, report: AttemptResult): Promise<ResultAnswer> {
  const key = parseAttemptId(attemptId);
  if (!key) throw new AppError("invalid_request", `"${attemptId}" is no attempt id`);
  const { result, leaseToken } = report;
  const settlement = await settleResult(deps, key, { token: leaseToken }, result);
  switch (settlement.kind) {
    case "ended":
      return { status: "accepted" };
    case "requeued":
      return { status: "retry", retryAfterSeconds: settlement.delaySeconds };
    case "refused":
      if (!settlement.task) return { status: "lost" };
      if (result.kind === "released" && result.steps) {
        const { reason, steps, logs = [], artifacts = [], footprint } = result;
        await noteLeft(deps, key, leaseToken, settlement.task, { reason, left: { steps, logs, artifacts, footprint } });
      }
      return answerRepeat(key, leaseToken, settlement.task);
  }
}

function settleResult(deps: Deps, key: AttemptKey, proof: LeaseProof, result: AttemptResult["result"]) {
  if (result.kind === "ended") return settleAttempt(deps, key, proof, result);
  const { reason, steps = [], logs = [], artifacts = [], footprint } = result;
  return releaseAttempt(deps, key, proof, reason, { steps, logs, artifacts, footprint });
}

/** Takes several results and answers in order. They stand apart: one that cannot be taken keeps none of the others. */
export function reportResults(
  deps: Deps,
  reports: readonly (AttemptResult & { attemptId: string })[],
): Promise<ResultAnswers["results"]> {
  return Promise.all(
    reports.map(async ({ attemptId, ...report }) => {
      try {
        return await reportResult(deps, attemptId, report);
      } catch (error) {
        deps.log.error({ err: error, attemptId }, "a result could not be taken; the worker tries again");
        return { status: "failed" as const, detail: "the result could not be taken" };
      }
    }),
  );
}

/**
 * The lease is gone: because this very report was taken before (its answer got lost), or to somebody else. Once the
 * next attempt has begun the message may be in another worker's hands, so it must be left alone.
 */
function answerRepeat(key: AttemptKey, leaseToken: string, task: TaskItem): ResultAnswer {
  const record = task.attempts[key.attempt - 1];
  const taken = record?.leaseToken === leaseToken && record.endedAt !== undefined && task.attempt === key.attempt;
  if (!taken) return { status: "lost" };
  if (isTerminalTaskState(task.state)) return { status: "accepted" };
  const counts = { ...task, userFailures: task.userFailures ?? 0 };
  const decision = decideRetry(record.outcome ?? {}, counts, task.retry);
  return { status: "retry", retryAfterSeconds: decision.retry ? decision.delaySeconds : 0 };
}
