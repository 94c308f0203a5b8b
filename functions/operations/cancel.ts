import { AppError } from "../../shared/domain/errors.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { CancelRequest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";

const raceTries = 10;

/** Asks for the end of a job; the `cancel` chore ends its tasks. Asking again changes nothing. */
export async function cancelJob(
  deps: Deps,
  jobId: string,
  cancel: Omit<CancelRequest, "at">,
): Promise<"cancelling" | "already_ended"> {
  for (let tries = 0; tries < raceTries; tries++) {
    const digest = await deps.jobs.getDigest(jobId);
    if (!digest) throw new AppError("not_found", `there is no job ${jobId}`);
    if (isTerminalJobState(digest.state)) return "already_ended";
    if (digest.cancel) return "cancelling";
    const at = new Date(deps.now()).toISOString();
    if (await deps.jobs.requestCancel(digest, { ...cancel, at })) return "cancelling";
  }
  throw new AppError("unavailable", `job ${jobId} is changing too fast to be cancelled right now; try again`);
}

/**
 * Ends one task: at once where no worker holds it, else its worker is told at its next heartbeat. The task item
 * decides between the two, so a claim at the same moment loses or wins, but is never missed. `asOfSeq`: the cancel is
 * that of the whole job as it was then; a task that was retried since is none of its business.
 */
export async function cancelTask(
  deps: Deps,
  task: TaskItem,
  cancel: CancelRequest,
  asOfSeq = Number.POSITIVE_INFINITY,
): Promise<"cancelling" | "already_ended"> {
  let current = task;
  for (let tries = 0; tries < raceTries; tries++) {
    if (isTerminalTaskState(current.state) || (current.retriedSeq ?? 0) > asOfSeq) return "already_ended";
    const move =
      current.state === "running"
        ? await deps.tasks.requestCancel(current, cancel)
        : await deps.tasks.endUnclaimed(current, outcomeOfCancel(cancel), deps.now());
    if (move.moved) return "cancelling";
    if (!move.task) throw new AppError("not_found", `there is no task ${task.jobId}/${task.task}`);
    current = move.task;
  }
  throw new AppError("unavailable", `task ${task.jobId}/${task.task} is changing too fast; try again`);
}
