import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { type Reason, type ReasonCode, reasonFor } from "../../shared/domain/reason.ts";
import { formatSpan } from "../../shared/domain/time-span.ts";
import { maxAttempts, maxInfrastructureAttempts, timing } from "../../shared/domain/timing.ts";
import { stateNow } from "../../shared/domain/worker-state.ts";
import type { CancelRequest, RescueEvidence, TaskItem } from "../../shared/repository/items.ts";
import type { AttemptEnd, LeaseProof, Loss } from "../../shared/repository/task-moves.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
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
  const end = manifest ?? decideEnd(task, loss.reason, cancel);
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
  // What cannot be written about the worker now is for the sweep: its task does not wait for that.
  if (worker) {
    await noteSilent(deps, [worker]).catch((error: unknown) =>
      deps.log.warn({ err: error, workerId: worker.workerId }, "that a worker is lost is not written down yet"),
    );
  }
  const nowMs = deps.now();
  const rescue: RescueEvidence = {
    at: new Date(nowMs).toISOString(),
    leaseUntil: new Date(lease.untilMs).toISOString(),
    ...(worker
      ? { workerSeenAt: new Date(worker.lastSeenMs).toISOString(), workerState: stateNow(worker, nowMs) }
      : {}),
  };
  const ranOut = `its lease ran out ${formatSpan(nowMs - lease.untilMs)} ago`;
  const code = codeOfLoss(worker);
  const who = `worker ${lease.workerId}${code === "spot_interrupted" ? ", whose machine was to be taken away," : ""}`;
  const detail = `attempt ${task.attempt}: ${who} ${describeWorker(worker, nowMs)}; ${ranOut}`;
  return { reason: reasonFor(code, detail), rescue };
}

/** A worker that said that its machine is taken away, and then nothing that takes it back, went with it. */
function codeOfLoss(worker: WorkerItem | undefined): Extract<ReasonCode, "worker_lost" | "spot_interrupted"> {
  return worker?.drainCause?.kind === "interrupted" ? "spot_interrupted" : "worker_lost";
}

function describeWorker(worker: WorkerItem | undefined, nowMs: number): string {
  if (worker === undefined) return "is not known any more";
  const silentMs = nowMs - worker.lastSeenMs;
  const heard = `${formatSpan(silentMs)} ago`;
  if (worker.state === "stopped") return `stopped ${heard} and did not end it`;
  if (silentMs > timing.workerSilentMs) return `was last heard of ${heard}`;
  return `was heard of ${heard} but does not hold it: it gave it up, or never heard that it had it`;
}

function decideEnd(
  task: TaskItem,
  lost: Reason,
  cancel: Pick<CancelRequest, "cause" | "detail"> | undefined,
): AttemptEnd | undefined {
  if (cancel) {
    const detail = `${cancel.detail}; ${lost.detail}`;
    return { outcome: outcomeOfCancel({ cause: cancel.cause, detail }), ...nothingLeft };
  }
  if (task.infrastructureFailures + 1 < maxInfrastructureAttempts) {
    const outcome = exhaustedOutcome(task);
    return outcome && { outcome, ...nothingLeft };
  }
  const detail = `${lost.detail}; and infrastructure had failed under ${task.infrastructureFailures} attempts before`;
  return { outcome: { state: "failed", reason: reasonFor(lost.code, detail) }, ...nothingLeft };
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
