import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { firstCheckMs, nextCheck } from "../../shared/repository/digest-items.ts";
import type { JobCheck, JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { cancelJob } from "../operations/cancel.ts";
import { dispatchTasks, findPool } from "../operations/dispatch.ts";
import { useJobImages } from "../operations/image-blobs.ts";
import type { SweptUnit } from "./sweep-report.ts";

const taskPageSize = 500;
const longestCheckMs = 12 * 3600_000;

/** Looks at a job that is due: past its timeout, with messages not known to be sent, or without a move for long. */
export async function sweepJob(deps: Deps, jobId: string): Promise<SweptUnit> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest) return {};
  if (isTerminalJobState(digest.state)) {
    await deps.jobs.noteDue(digest);
    return {};
  }
  // Before anything that may fail: what keeps a job's images must not depend on the rest.
  await useJobImages(deps, digest);
  const swept = { timedOut: 0, dispatched: 0 };
  if (digest.timeoutAt !== undefined && Date.parse(digest.timeoutAt) <= deps.now() && !digest.cancel) {
    await cancelJob(deps, jobId, { cause: "job_timeout", detail: "the job ran longer than its timeout" });
    swept.timedOut += 1;
  }
  const { check, stalled } = checkProgress(digest, deps.now());
  if (stalled) swept.dispatched += await announceWaiting(deps, digest, isForgotten);
  else if (digest.dispatchPending) swept.dispatched += await announceWaiting(deps, digest, neverClaimed);
  const { dispatchPending: _, ...current } = (await deps.jobs.getDigest(jobId)) ?? digest;
  await deps.jobs.noteDue({ ...current, check });
  return swept;
}

/**
 * Tells whether nothing moved in a job between two looks though tasks wait in it. Messages are not lost easily, but
 * nobody can see that one is: so after an hour without any move the waiting tasks are announced once more, and again
 * after 2, 4 … 12 hours. A task that really waits behind others has a few messages then, of which one counts.
 */
function checkProgress(digest: JobDigest, nowMs: number): { check: JobCheck; stalled: boolean } {
  const check = nextCheck(digest);
  if (Date.parse(check.at) > nowMs) return { check, stalled: false };
  const stalled = check.seq === digest.seq && digest.counts.queued > 0;
  const afterMs = stalled ? Math.min(longestCheckMs, 2 * check.afterMs) : firstCheckMs;
  return { check: { at: new Date(nowMs + afterMs).toISOString(), seq: digest.seq, afterMs }, stalled };
}

/** A task that waits again after an attempt has announcements of its own. */
function isForgotten(task: TaskItem): boolean {
  return task.announce === undefined;
}

function neverClaimed(task: TaskItem): boolean {
  return task.attempt === 0;
}

/** Sends a message for each waiting task that is wanted; for some it is the second, which does no harm. */
async function announceWaiting(deps: Deps, digest: JobDigest, wanted: (task: TaskItem) => boolean): Promise<number> {
  const pool = findPool(deps, digest.pool);
  let announced = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await deps.tasks.list(digest, { limit: taskPageSize, state: "queued", cursor });
    const waiting = page.tasks.filter(wanted);
    await dispatchTasks(pool, waiting);
    announced += waiting.length;
    cursor = page.cursor;
    if (!cursor) return announced;
  }
}
