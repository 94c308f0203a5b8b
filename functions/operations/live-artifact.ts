import { ulid } from "ulid";
import { AppError } from "../../shared/domain/errors.ts";
import {
  attemptOfLiveId,
  type LiveReport,
  type LiveRequest,
  liveArtifactMs,
  liveReportSchema,
} from "../../shared/domain/live-artifact.ts";
import { liveReportKey } from "../../shared/domain/object-keys.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";

/** How far a request has come. `ended`: the attempt is over, what it left is its artifact. */
export type LiveProgress =
  | LiveReport
  | { status: "pending" }
  | { status: "ended" }
  /** Nobody stores it any more. */
  | { status: "lost"; detail: string };

/** Two who ask at the same moment find each other's request; more tries than that are no coincidence. */
const requestTries = 5;

/** Asks the worker of a running task for what it has written so far; joins a request that was just made. */
export async function requestLiveArtifact(deps: Deps, task: TaskItem): Promise<LiveRequest> {
  let current = task;
  for (let tries = 0; tries < requestTries; tries++) {
    const nowMs = deps.now();
    checkRunning(current);
    const open = await findOpenRequest(deps, current, nowMs);
    if (open) return open;
    const { attempt } = current;
    const request = { id: `${attempt}-${ulid(nowMs).toLowerCase()}`, attempt, untilMs: nowMs + liveArtifactMs };
    const outcome = await deps.tasks.requestLive(current, request);
    if (outcome.noted) return request;
    if (!outcome.task) throw new AppError("not_found", `task ${task.task} is gone`);
    current = outcome.task;
  }
  throw new AppError("unavailable", `too many others ask for what ${task.task} has written; try again`);
}

function checkRunning({ state, task }: TaskItem): void {
  if (state === "running") return;
  const now = state === "queued" || state === "pending" ? `has written nothing: it is ${state}` : "has ended";
  throw new AppError("conflict", `task ${task} ${now}; only of running tasks what they have written so far is fetched`);
}

/** A request that was not answered yet and still has enough time, so that many who ask cost one archive. */
async function findOpenRequest(deps: Deps, task: TaskItem, nowMs: number): Promise<LiveRequest | undefined> {
  const { live, attempt } = task;
  if (live?.attempt !== attempt || live.untilMs - nowMs < liveArtifactMs / 2) return undefined;
  const report = await deps.objects.get(liveReportKey(task.jobId, task.task, attempt, live.id));
  return report === undefined ? live : undefined;
}

/** How far a request has come, by what its worker left in the bucket and by where the task is. */
export async function readLiveArtifact(deps: Deps, task: TaskItem, id: string): Promise<LiveProgress> {
  const attempt = attemptOfLiveId(id);
  if (attempt === undefined || attempt > task.attempt) throw new AppError("not_found", `nobody has asked for ${id}`);
  const report = await deps.objects.get(liveReportKey(task.jobId, task.task, attempt, id));
  if (report) return liveReportSchema.parse(JSON.parse(Buffer.from(report).toString("utf8")));
  if (task.state !== "running" || task.attempt !== attempt) return { status: "ended" };
  const nowMs = deps.now();
  const { lease, live } = task;
  if (lease && lease.untilMs < nowMs) {
    const detail = `its worker ${lease.workerId} does not answer any more; the task is taken from it`;
    return { status: "lost", detail };
  }
  if (live?.id !== id || live.untilMs < nowMs) {
    const detail = "its worker did not store it in time, or somebody has asked again since; ask again";
    return { status: "lost", detail };
  }
  return { status: "pending" };
}
