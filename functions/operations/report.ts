import type { AttemptResult, ResultAnswer } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { type AttemptKey, parseAttemptId } from "../../shared/domain/ids.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { releaseAttempt, settleAttempt } from "./settle.ts";

/** Takes the result of an attempt, fenced by its lease token. Reporting the same result again is accepted again. */
export async function reportResult(deps: Deps, attemptId: string, report: AttemptResult): Promise<ResultAnswer> {
  const key = parseAttemptId(attemptId);
  if (!key) throw new AppError("invalid_request", `"${attemptId}" is no attempt id`);
  const { result, leaseToken } = report;
  const proof = { token: leaseToken };
  const settlement =
    result.kind === "released"
      ? await releaseAttempt(deps, key, proof, result.reason)
      : await settleAttempt(deps, key, proof, result);
  switch (settlement.kind) {
    case "ended":
      return { status: "accepted" };
    case "requeued":
      return { status: "retry", retryAfterSeconds: settlement.delaySeconds };
    case "refused":
      return settlement.task ? answerRepeat(key, leaseToken, settlement.task) : { status: "lost" };
  }
}

/** The lease is gone: because this very report was taken before (its answer got lost), or to somebody else. */
function answerRepeat(key: AttemptKey, leaseToken: string, task: TaskItem): ResultAnswer {
  const record = task.attempts[key.attempt - 1];
  if (record?.leaseToken !== leaseToken || record.endedAt === undefined) return { status: "lost" };
  if (task.attempt === key.attempt && task.state === "queued") return { status: "retry", retryAfterSeconds: 0 };
  return { status: record.outcome?.state === undefined ? "lost" : "accepted" };
}
