import type { ClaimAnswer, ClaimedTask, TaskClaimRequest } from "../../shared/api/worker-schemas.ts";
import { formatAttemptId } from "../../shared/domain/ids.ts";
import { type Reason, reasonFor } from "../../shared/domain/reason.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { ClaimInputs } from "../../shared/repository/claim-reads.ts";
import type { CancelRequest, JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { StoredSpec } from "../../shared/repository/jobs.ts";
import type { TaskClaim } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";
import { listImageBlobs, useBlobs } from "./image-blobs.ts";
import { exhaustedOutcome, rescueAttempt } from "./rescue.ts";
import { settleAttempt } from "./settle.ts";

type Claim = ClaimAnswer["claims"][number];

const imageUrlSeconds = 3600;
/** Somebody else moved the task at the same moment: long enough for that to be over. */
const retrySoon: Claim = { status: "wait", detail: "another was first", retryAfterSeconds: 1 };
const faultRetrySeconds = 5;
const expansionRetrySeconds = 10;

/**
 * Decides each claim of a worker and answers in order. The claims stand apart: one that fails for a fault of ours is
 * answered with `wait`, for the others may have been granted already.
 */
export async function claimTasks(
  deps: Deps,
  workerId: string,
  requests: readonly TaskClaimRequest[],
): Promise<Claim[]> {
  const inputs = await deps.readForClaims(requests);
  return Promise.all(
    requests.map(async (request): Promise<Claim> => {
      try {
        return await claimTask(deps, workerId, request, inputs);
      } catch (error) {
        const { jobId, task } = request;
        deps.log.error({ err: error, workerId, jobId, task }, "a claim could not be decided; the worker tries again");
        return { status: "wait", detail: "the claim could not be decided", retryAfterSeconds: faultRetrySeconds };
      }
    }),
  );
}

async function claimTask(deps: Deps, workerId: string, request: TaskClaimRequest, inputs: ClaimInputs): Promise<Claim> {
  const { leaseToken } = request;
  const digest = inputs.digest(request.jobId);
  const spec = inputs.spec(request.jobId);
  const task = inputs.task(request);
  if (!digest || !spec || !task) return refuseUnknown(deps, request, digest);
  // The task was retried after the job was read: what is known of the job may be what ended it before.
  if ((task.retriedSeq ?? 0) > digest.seq) return retrySoon;
  const isRepeat = task.lease?.token === leaseToken;
  const decision = isRepeat ? {} : await decideClaim(deps, task, digest);
  if ("status" in decision) return decision;
  // All that may fail comes before the write: a lease that nobody hears of costs the task its whole length.
  const [images, secrets] = await Promise.all([linkImages(deps, spec), readSecrets(deps, spec)]);
  if (!secrets.found) return failForSecrets(deps, task, secrets.reason);
  const timeoutMs = remainingMs(deps, task, digest);
  const move = isRepeat
    ? await deps.tasks.renewLease(task, leaseToken, deps.now())
    : await deps.tasks.claim(task, { workerId, leaseToken, timeoutMs, nowMs: deps.now(), ...decision });
  if (!move.moved) return retrySoon;
  return { ...describeClaim(spec, move.task, leaseToken, images, secrets.values), timeoutMs };
}

/** Tasks are written before they are announced; but what could still come into being is not given up for gone. */
async function refuseUnknown(deps: Deps, { jobId }: TaskClaimRequest, digest: JobDigest | undefined): Promise<Claim> {
  if (digest && (await deps.jobs.getChore(jobId, "expand"))) {
    return { status: "wait", detail: "the job's tasks are being created", retryAfterSeconds: expansionRetrySeconds };
  }
  return { status: "drop", detail: "there is no such task" };
}

/** Nothing stands against a claim; `loss` where it follows an attempt that was lost. */
type Granted = Pick<TaskClaim, "loss">;

function decideClaim(deps: Deps, task: TaskItem, digest: JobDigest): Promise<Claim | Granted> {
  return task.state === "running" ? decideHeld(deps, task, digest) : decideWaiting(deps, task, digest);
}

/** Whether a task that a worker holds can be claimed: where its attempt is lost and may be followed. */
async function decideHeld(deps: Deps, task: TaskItem, digest: JobDigest): Promise<Claim | Granted> {
  const leftMs = (task.lease?.untilMs ?? 0) - deps.now();
  if (leftMs > 0) {
    const retryAfterSeconds = Math.ceil(leftMs / 1000);
    return { status: "wait", detail: `attempt ${task.attempt} holds its lease`, retryAfterSeconds };
  }
  const rescue = await rescueAttempt(deps, task, task.cancel ?? endOfJob(deps, digest));
  switch (rescue.kind) {
    case "ended":
      return { status: "drop", detail: `attempt ${task.attempt} was the task's last` };
    case "requeued":
      return { status: "wait", detail: "the task is tried again", retryAfterSeconds: rescue.delaySeconds };
    case "raced":
      return retrySoon;
    case "lost":
      return { loss: rescue.loss };
  }
}

/** Whether a task that no worker holds can be claimed. */
async function decideWaiting(deps: Deps, task: TaskItem, digest: JobDigest): Promise<Claim | Granted> {
  if (isTerminalTaskState(task.state)) return { status: "drop", detail: `the task is ${task.state} already` };
  // Its message is one of an earlier time; another is sent when what it needs has completed.
  if (task.state === "pending") return { status: "drop", detail: "the task waits for others that it needs" };
  const cancel = endOfJob(deps, digest);
  const end = cancel ? outcomeOfCancel(cancel) : exhaustedOutcome(task);
  if (!end) return {};
  const move = await deps.tasks.endUnclaimed(task, end, deps.now());
  return move.moved ? { status: "drop", detail: end.reason.detail } : retrySoon;
}

/** Why a job starts nothing more: it was cancelled, or its timeout has passed, though the sweep has not ended it yet. */
export function endOfJob(deps: Deps, digest: JobDigest): Pick<CancelRequest, "cause" | "detail"> | undefined {
  if (digest.cancel) return digest.cancel;
  if (digest.timeoutAt === undefined || Date.parse(digest.timeoutAt) > deps.now()) return undefined;
  return { cause: "job_timeout", detail: "the job's timeout has passed" };
}

/** A task runs no longer than its job may; its worker ends it in time, whenever the sweep comes. */
function remainingMs(deps: Deps, task: TaskItem, digest: JobDigest): number {
  if (digest.timeoutAt === undefined) return task.timeoutMs;
  return Math.max(1, Math.min(task.timeoutMs, Date.parse(digest.timeoutAt) - deps.now()));
}

/** Links to the blobs of the shipped images, by digest; a worker says which one it lacks. */
async function linkImages(deps: Deps, spec: StoredSpec): Promise<Record<string, string>> {
  const blobs = await useBlobs(deps, listImageBlobs(spec));
  const links = await Promise.all(
    [...blobs].map(async ([digest, { key }]) => {
      return [digest, await deps.objects.presignGet(key, { expiresSeconds: imageUrlSeconds })] as const;
    }),
  );
  return Object.fromEntries(links);
}

type JobSecrets =
  | { found: true; values: Pick<ClaimedTask, "secrets" | "registryAuth"> }
  | { found: false; reason: Reason };

/** The values of a job's secrets, or why its tasks cannot start. They go nowhere but into the answer. */
async function readSecrets(deps: Deps, { secrets = {}, registryAuth }: StoredSpec): Promise<JobSecrets> {
  const names = [...new Set([...Object.values(secrets), ...(registryAuth === undefined ? [] : [registryAuth])])];
  if (names.length === 0) return { found: true, values: { secrets: {} } };
  const stored = await deps.secrets.get(names);
  const missing = names.filter((name) => !stored.has(name));
  if (missing.length > 0) return { found: false, reason: explainMissing(missing) };
  const values = Object.entries(secrets).map(([variable, name]) => [variable, stored.get(name) ?? ""] as const);
  const auth = registryAuth === undefined ? undefined : stored.get(registryAuth);
  return {
    found: true,
    values: { secrets: Object.fromEntries(values), ...(auth === undefined ? {} : { registryAuth: auth }) },
  };
}

function explainMissing(names: readonly string[]): Reason {
  const what = names.length === 1 ? `there is no secret ${names[0]}` : `there are no secrets ${names.join(", ")}`;
  return reasonFor("secret_missing", `${what}: set it with \`sluice secrets set ${names[0]}\`, then run the job again`);
}

/** Ends a task that would lack a secret before anything of it starts. */
async function failForSecrets(deps: Deps, task: TaskItem, reason: Reason): Promise<Claim> {
  const outcome = { state: "failed", reason } as const;
  const { lease } = task;
  if (lease === undefined) {
    const move = await deps.tasks.endUnclaimed(task, outcome, deps.now());
    return move.moved ? { status: "drop", detail: reason.detail } : retrySoon;
  }
  // An attempt before this one was lost: the task still carries its lease.
  const proof = { token: lease.token, seenUntilMs: lease.untilMs };
  const settlement = await settleAttempt(deps, task, proof, { outcome, steps: [], logs: [], artifacts: [] });
  return settlement.kind === "ended" ? { status: "drop", detail: reason.detail } : retrySoon;
}

function describeClaim(
  spec: StoredSpec,
  task: TaskItem,
  leaseToken: string,
  images: Record<string, string>,
  secrets: Pick<ClaimedTask, "secrets" | "registryAuth">,
): Omit<ClaimedTask, "timeoutMs"> {
  return {
    status: "claimed",
    attemptId: formatAttemptId(task),
    jobId: task.jobId,
    task: task.task,
    attempt: task.attempt,
    leaseToken,
    slots: task.slots,
    env: { ...spec.env, ...task.env },
    // Absent in what was stored before there were services.
    services: spec.services ?? {},
    ...secrets,
    steps: spec.steps,
    ...(spec.resources === undefined ? {} : { resources: spec.resources }),
    artifacts: spec.artifacts,
    images,
  };
}
