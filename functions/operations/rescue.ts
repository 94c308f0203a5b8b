import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { formatSpan } from "../../shared/domain/time-span.ts";
import { maxAttempts, maxInfrastructureAttempts, timing } from "../../shared/domain/timing.ts";
import { stateNow, type WorkerState } from "../../shared/domain/worker-state.ts";
import type { CancelRequest, RescueEvidence, TaskItem } from "../../shared/repository/items.ts";
import type { AttemptEnd, LeaseProof, Loss } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";
import { noteSilent } from "./liveness.ts";
import { settleAttempt } from "./settle.ts";

/** What is to be done about a task whose attempt's lease ran out. */
export type Rescue =
  /** The task has ended: there was a manifest, a cancel, or nothing left to try. */
  | { kind: "ended" }
  /** Its manifest says that infrastructure failed: it waits for its next attempt. */
  | { kind: "requeued"; delaySeconds: number }
  /** Nothing is known of the attempt: another may take its place. */
  | { kind: "lost"; loss: Loss }
  /** Its worker renewed the lease after all, or somebody else was first. */
  | { kind: "raced" };

const nothingLeft: Omit<AttemptEnd, "outcome"> = { steps: [], logs: [], artifacts: [] };

/**
 * Takes an attempt whose lease ran out from its worker where that settles the task: its manifest says how it ended (it
 * could not tell anybody), it was to be cancelled, or infrastructure failed under the task too often.
 */
export async function rescueAttempt(
  deps: Deps,
  task: TaskItem,
  cancel: Pick<CancelRequest, "cause" | "detail"> | undefined,
): Promise<Rescue> {
  const { lease } = task;
  if (!lease) return { kind: "raced" };
  const proof: LeaseProof = { token: lease.token, seenUntilMs: lease.untilMs };
  const [manifest, loss] = await Promise.all([readManifest(deps, task), observeLoss(deps, task, lease)]);
  const end = manifest ?? decideEnd(task, loss.reason.detail, cancel);
  if (!end) return { kind: "lost", loss };
  const settlement = await settleAttempt(deps, task, proof, { ...end, rescue: loss.rescue });
  return settlement.kind === "refused" ? { kind: "raced" } : settlement;
}

/**
 * Looks at the worker whose lease ran out. Whether it was heard of lately decides nothing, for what holds an attempt is
 * its lease alone; but it tells a dead worker from one that gave the attempt up or never heard that it had it.
 */
async function observeLoss(deps: Deps, task: TaskItem, lease: NonNullable<TaskItem["lease"]>): Promise<Loss> {
  const worker = await deps.workers.get(lease.workerId);
  if (worker) await noteSilent(deps, [worker]);
  const nowMs = deps.now();
  const rescue: RescueEvidence = {
    at: new Date(nowMs).toISOString(),
    leaseUntil: new Date(lease.untilMs).toISOString(),
    ...(worker
      ? { workerSeenAt: new Date(worker.lastSeenMs).toISOString(), workerState: stateNow(worker, nowMs) }
      : {}),
  };
  const ranOut = `its lease ran out ${formatSpan(nowMs - lease.untilMs)} ago`;
  const silentMs = worker && nowMs - worker.lastSeenMs;
  const detail = `attempt ${task.attempt}: worker ${lease.workerId} ${describeWorker(ranOut, worker?.state, silentMs)}`;
  return { reason: reasonFor("worker_lost", detail), rescue };
}

function describeWorker(ranOut: string, state: WorkerState | undefined, silentMs: number | undefined): string {
  if (silentMs === undefined) return `is not known any more; ${ranOut}`;
  const heard = `${formatSpan(silentMs)} ago`;
  if (state === "stopped") return `stopped ${heard} and did not end it; ${ranOut}`;
  if (silentMs > timing.workerSilentMs) return `was last heard of ${heard}; ${ranOut}`;
  return `was heard of ${heard} but does not hold it: it gave it up, or never heard that it had it; ${ranOut}`;
}

function decideEnd(
  task: TaskItem,
  lost: string,
  cancel: Pick<CancelRequest, "cause" | "detail"> | undefined,
): AttemptEnd | undefined {
  if (cancel) {
    const detail = `${cancel.detail}; ${lost}`;
    return { outcome: outcomeOfCancel({ cause: cancel.cause, detail }), ...nothingLeft };
  }
  if (task.infrastructureFailures + 1 < maxInfrastructureAttempts) {
    const outcome = exhaustedOutcome(task);
    return outcome && { outcome, ...nothingLeft };
  }
  const detail = `${lost}; and infrastructure had failed under ${task.infrastructureFailures} attempts before`;
  return { outcome: { state: "failed", reason: reasonFor("worker_lost", detail) }, ...nothingLeft };
}

/** How a task ends that has had all the attempts its item has room for, none of which ended it. */
export function exhaustedOutcome(task: TaskItem): { state: "failed"; reason: Reason } | undefined {
  if (task.attempt < maxAttempts) return undefined;
  const detail = `the task was started ${task.attempt} times and given back or lost each time`;
  return { state: "failed", reason: reasonFor("dead_lettered", detail) };
}

/** A manifest that cannot be read tells nothing: the attempt counts as lost, as it would without one. */
export async function readManifest(deps: Deps, task: TaskItem): Promise<AttemptEnd | undefined> {
  const key = manifestKey(task.jobId, task.task, task.attempt);
  const stored = await deps.objects.get(key);
  if (!stored) return undefined;
  const manifest = parseManifest(Buffer.from(stored).toString("utf8"));
  if (!manifest) {
    deps.log.error({ key }, "a manifest cannot be read; its attempt counts as lost");
    return undefined;
  }
  const { outcome, steps, logs, artifacts, footprint } = manifest;
  return { outcome, steps, logs, artifacts, footprint };
}

function parseManifest(text: string): Manifest | undefined {
  try {
    return manifestSchema.safeParse(JSON.parse(text)).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
