import type { Heartbeat, HeartbeatAnswer } from "../../shared/api/worker-schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { parseAttemptId } from "../../shared/domain/ids.ts";
import type { Deps } from "../deps.ts";

/** Stamps that a worker lives, renews the leases it still holds, and tells it what it must know about each. */
export async function acceptHeartbeat(deps: Deps, workerId: string, beat: Heartbeat): Promise<HeartbeatAnswer> {
  const nowMs = deps.now();
  const [worker, attempts] = await Promise.all([
    deps.workers.recordHeartbeat(workerId, beat, nowMs),
    Promise.all(beat.attempts.map((held) => renewAttempt(deps, held, nowMs))),
  ]);
  if (!worker) throw new AppError("not_found", `worker ${workerId} is not registered; register it again`);
  const { requiredWorkerVersion: requiredVersion } = deps;
  const drain = worker.drainRequestedAt !== undefined;
  const stay = beat.mayStay === true && worker.state !== "stopped";
  return {
    drain,
    attempts,
    ...(stay && { stay }),
    ...(requiredVersion === undefined ? {} : { requiredVersion }),
  };
}

async function renewAttempt(
  deps: Deps,
  held: Heartbeat["attempts"][number],
  nowMs: number,
): Promise<HeartbeatAnswer["attempts"][number]> {
  const { attemptId, leaseToken } = held;
  const key = parseAttemptId(attemptId);
  const move = key && (await deps.tasks.renewLease(key, leaseToken, nowMs));
  if (!key || !move?.moved) return { attemptId, lease: "lost", watched: false };
  const { cancel, live, watchedUntilMs = 0 } = move.task;
  const wantsLive = live?.attempt === key.attempt && live.untilMs > nowMs;
  return {
    attemptId,
    lease: "renewed",
    watched: watchedUntilMs > nowMs,
    ...(wantsLive ? { live: { id: live.id, forMs: live.untilMs - nowMs } } : {}),
    ...(cancel ? { cancel: { cause: cancel.cause, detail: cancel.detail } } : {}),
  };
}
