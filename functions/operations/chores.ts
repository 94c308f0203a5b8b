import pLimit from "p-limit";
import { taskBucket } from "../../shared/domain/ids.ts";
import { taskListKey } from "../../shared/domain/object-keys.ts";
import type { TaskSpec } from "../../shared/jobfile/job-spec.ts";
import type { Chore, JobDigest, TaskTransition } from "../../shared/repository/items.ts";
import { expansionStep, takeExpansionStep } from "../../shared/repository/jobs.ts";
import { firstState } from "../../shared/repository/tasks.ts";
import type { Deps } from "../deps.ts";
import { advanceGraph } from "./advance.ts";
import { cancelTask } from "./cancel.ts";
import { outcomeOfCancel } from "./cancel-outcome.ts";
import { dispatchTasks, findPool } from "./dispatch.ts";
import { workOnRetry } from "./work-on-retry.ts";

const cancelPageSize = 100;
const parallelCancels = 8;

/**
 * Works on a chore until it is done or the time is up; what is left goes on when its item's change comes down the
 * stream, or by the sweep. Two workers at the same chore do no harm: the cursor moves on a condition.
 */
export async function workOnChore(deps: Deps, jobId: string, kind: Chore["kind"], deadlineMs: number): Promise<void> {
  const chore = await deps.jobs.getChore(jobId, kind);
  const digest = await deps.jobs.getDigest(jobId);
  if (!chore || !digest) return;
  switch (kind) {
    case "expand":
      return expandJob(deps, chore, digest, deadlineMs);
    case "cancel":
      return endTasks(deps, chore, digest, deadlineMs);
    case "advance":
      return advanceGraph(deps, chore, digest, deadlineMs);
    case "retry":
      return workOnRetry(deps, chore, deadlineMs);
  }
}

/** Creates the tasks of a large job and announces them, step by step; a step's messages go before the next step. */
async function expandJob(deps: Deps, chore: Chore, digest: JobDigest, deadlineMs: number): Promise<void> {
  const stored = await deps.objects.get(taskListKey(digest.jobId));
  if (!stored) throw new Error(`the task list of ${digest.jobId} is gone`);
  const tasks = JSON.parse(Buffer.from(stored).toString("utf8")) as TaskSpec[];
  const announce = (step: readonly TaskSpec[]) =>
    dispatchTasks(
      findPool(deps, digest.pool),
      step.filter(isQueued).map(({ name, slots }) => {
        return { jobId: digest.jobId, task: name, bucket: taskBucket(name, digest.bucketCount), slots };
      }),
    );
  let written = Number(chore.cursor);
  // A crash may have come between a step's tasks and its messages: they are sent again.
  if (written > 0 && !digest.cancel) await announce(tasks.slice(Math.max(0, written - expansionStep), written));
  while (written < tasks.length) {
    if (deps.now() > deadlineMs) return;
    const current = await deps.jobs.getDigest(digest.jobId);
    const step = takeExpansionStep(tasks, written);
    const transitions = (task: TaskSpec) => cancelledBeforeCreation(deps, current, task);
    if (!(await deps.jobs.expand({ digest, tasks: step, from: written, transitions }))) return;
    if (!current?.cancel) await announce(step);
    written += step.length;
  }
  // A cancel that came during the expansion may have passed tasks before they existed. One that comes from here on
  // finds them all. The expansion ends last: a crash in between only repeats this.
  if ((await deps.jobs.getDigest(digest.jobId))?.cancel) await deps.jobs.putCancelChore(digest.jobId, deps.now());
  if (digest.graph) await deps.jobs.endChoreAndAdvance(chore, deps.now());
  else await deps.jobs.endChore(chore);
}

function isQueued(task: TaskSpec): boolean {
  return firstState(task) === "queued";
}

/** A task of a job that was cancelled meanwhile is created as ended, so that the job's counts stay whole. */
function cancelledBeforeCreation(deps: Deps, digest: JobDigest | undefined, task: TaskSpec): TaskTransition[] {
  if (!digest?.cancel) return [];
  const { state, reason } = outcomeOfCancel(digest.cancel);
  const at = new Date(deps.now()).toISOString();
  return [{ at, from: firstState(task), to: state, attempt: 0, reason }];
}

/** Ends every task of a cancelled job that has not ended. */
async function endTasks(deps: Deps, chore: Chore, digest: JobDigest, deadlineMs: number): Promise<void> {
  const { cancel } = digest;
  if (!cancel) return deps.jobs.endChore(chore);
  const limit = pLimit(parallelCancels);
  let current = chore;
  for (;;) {
    const page = await deps.tasks.list(digest, {
      limit: cancelPageSize,
      ...(current.cursor === "" ? {} : { cursor: current.cursor }),
    });
    await Promise.all(page.tasks.map((task) => limit(() => cancelTask(deps, task, cancel, digest.seq))));
    if (page.cursor === undefined) return deps.jobs.endChore(current);
    if (!(await deps.jobs.moveChore(current, page.cursor)) || deps.now() > deadlineMs) return;
    current = { ...current, cursor: page.cursor };
  }
}
