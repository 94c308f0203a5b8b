import { randomUUID } from "node:crypto";
import type { ClaimAnswer, ClaimedTask } from "../../shared/api/schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";
import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { imageKey, manifestKey } from "../../shared/domain/object-keys.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { maxInfrastructureAttempts } from "../../shared/domain/timing.ts";
import type { ClaimInputs, TaskAddress } from "../../shared/repository/claim-reads.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { StoredSpec } from "../../shared/repository/jobs.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";

type Claim = ClaimAnswer["claims"][number];

const imageUrlSeconds = 3600;
/** Somebody else moved the task at the same moment: long enough for that to be over. */
const raceRetrySeconds = 1;
const faultRetrySeconds = 5;

/**
 * Decides each claim of a worker and answers in order. The claims stand apart: one that fails for a fault of ours is
 * answered with `wait`, for the others may have been granted already.
 */
export async function claimTasks(deps: Deps, workerId: string, addresses: readonly TaskAddress[]): Promise<Claim[]> {
  const inputs = await deps.readForClaims(addresses);
  return Promise.all(
    addresses.map(async (address): Promise<Claim> => {
      try {
        return await claimTask(deps, workerId, address, inputs);
      } catch (error) {
        deps.log.error({ err: error, workerId, ...address }, "a claim could not be decided; the worker tries again");
        return { status: "wait", detail: "the claim could not be decided", retryAfterSeconds: faultRetrySeconds };
      }
    }),
  );
}

async function claimTask(deps: Deps, workerId: string, address: TaskAddress, inputs: ClaimInputs): Promise<Claim> {
  const digest = inputs.digest(address.jobId);
  const spec = inputs.spec(address.jobId);
  const task = inputs.task(address);
  if (!digest || !spec || !task) return { status: "drop", detail: "there is no such task" };
  const nowMs = deps.now();
  if (isTerminalTaskState(task.state)) return { status: "drop", detail: `the task is ${task.state} already` };
  if (task.state === "running" && task.lease && task.lease.untilMs > nowMs) {
    const retryAfterSeconds = Math.ceil((task.lease.untilMs - nowMs) / 1000);
    return { status: "wait", detail: `attempt ${task.attempt} holds its lease`, retryAfterSeconds };
  }
  if (task.state === "running" && (await settleLostAttempt(deps, task, nowMs))) {
    return { status: "drop", detail: `attempt ${task.attempt} had ended the task` };
  }
  if (digest.cancel && task.state === "queued") return abortUnclaimed(deps, digest, task, nowMs);
  const leaseToken = randomUUID();
  const move = await deps.tasks.claim(task, { workerId, leaseToken, nowMs });
  if (!move.moved) return { status: "wait", detail: "another claim was first", retryAfterSeconds: raceRetrySeconds };
  return describeClaim(deps, spec, move.task, leaseToken);
}

/**
 * Ends the task of an attempt whose lease ran out where there is nothing left to try: its manifest says how it ended
 * (it could not tell anybody), it was to be cancelled, or infrastructure failed under the task too often.
 */
async function settleLostAttempt(deps: Deps, task: TaskItem, nowMs: number): Promise<boolean> {
  const leaseToken = task.lease?.token ?? "";
  const manifest = await readManifest(deps, task);
  if (manifest) {
    const { outcome, steps, logs, artifacts } = manifest;
    return (await deps.tasks.endAttempt(task, { token: leaseToken }, { outcome, steps, logs, artifacts }, nowMs)).moved;
  }
  const nothing = { steps: [], logs: [], artifacts: [] };
  if (task.cancel) {
    const reason = reasonFor("cancelled", `${task.cancel.detail}; its worker was gone by then`);
    return (
      await deps.tasks.endAttempt(
        task,
        { token: leaseToken },
        { outcome: { state: "aborted", reason }, ...nothing },
        nowMs,
      )
    ).moved;
  }
  if (task.infrastructureFailures + 1 < maxInfrastructureAttempts) return false;
  const detail = `worker ${task.lease?.workerId} stopped renewing its lease, and ${task.infrastructureFailures} attempts before it were lost too`;
  const outcome = { state: "failed" as const, reason: reasonFor("worker_lost", detail) };
  return (await deps.tasks.endAttempt(task, { token: leaseToken }, { outcome, ...nothing }, nowMs)).moved;
}

async function readManifest(deps: Deps, task: TaskItem): Promise<Manifest | undefined> {
  const stored = await deps.objects.get(manifestKey(task.jobId, task.task, task.attempt));
  return stored === undefined ? undefined : manifestSchema.parse(JSON.parse(Buffer.from(stored).toString("utf8")));
}

async function abortUnclaimed(deps: Deps, digest: JobDigest, task: TaskItem, nowMs: number): Promise<Claim> {
  const { state, reason } = outcomeOfCancel(digest.cancel ?? { cause: "user", detail: "the job was cancelled" });
  await deps.tasks.endUnclaimed(task, state, reason, nowMs);
  return { status: "drop", detail: "the job was cancelled" };
}

async function describeClaim(deps: Deps, spec: StoredSpec, task: TaskItem, leaseToken: string): Promise<ClaimedTask> {
  const shipped = spec.steps.flatMap((step) => (step.kind === "container" && step.shipped ? [step.image] : []));
  const images = await Promise.all(
    [...new Set(shipped)].map(async (imageId) => {
      const url = await deps.objects.presignGet(imageKey(imageId), { expiresSeconds: imageUrlSeconds });
      return [imageId, url] as const;
    }),
  );
  return {
    status: "claimed",
    attemptId: formatAttemptId(task),
    jobId: task.jobId,
    task: task.task,
    attempt: task.attempt,
    leaseToken,
    slots: task.slots,
    timeoutMs: task.timeoutMs,
    env: { ...spec.env, ...task.env },
    steps: spec.steps,
    artifacts: spec.artifacts,
    images: Object.fromEntries(images),
  };
}
