import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import type { JobDigest } from "../../shared/repository/items.ts";
import type { ItemKey } from "../../shared/repository/keys.ts";
import { parseChoreKey } from "../consumers/chores.ts";
import type { Deps } from "../deps.ts";
import { cancelJob } from "../operations/cancel.ts";
import { workOnChore } from "../operations/chores.ts";
import { dispatchTasks, findPool } from "../operations/dispatch.ts";

const duePageSize = 200;
const taskPageSize = 200;

/** What one run of the sweep found to do. */
export interface SweepReport {
  folded: number;
  chores: number;
  dispatched: number;
  timedOut: number;
}

/**
 * Finishes what a lost trigger or a crash left behind, found by the due index: moves not counted, chores not done,
 * messages not known to be sent, jobs past their timeout. Everything it does is conditional, so it may run twice.
 */
export async function sweepDue(deps: Deps, remainingMs: number): Promise<SweepReport> {
  const report: SweepReport = { folded: 0, chores: 0, dispatched: 0, timedOut: 0 };
  const deadlineMs = deps.now() + remainingMs;
  for (const key of await deps.jobs.listDue(deps.now(), duePageSize)) {
    if (deps.now() > deadlineMs) break;
    if (key.pk.startsWith("TASKS#")) await sweepTask(deps, key, report);
    else if (key.sk === "DIGEST") await sweepJob(deps, key.pk.slice("JOB#".length), report);
    else await sweepChore(deps, key, report, deadlineMs);
  }
  return report;
}

async function sweepTask(deps: Deps, key: ItemKey, report: SweepReport): Promise<void> {
  const [, jobId = "", bucket = ""] = key.pk.split("#");
  const task = await deps.tasks.get(jobId, Number(bucket), key.sk);
  if (!task?.outbox) return;
  await deps.fold.foldTasks(jobId, [task]);
  report.folded += 1;
}

async function sweepChore(deps: Deps, key: ItemKey, report: SweepReport, deadlineMs: number): Promise<void> {
  const chore = parseChoreKey(key.pk, key.sk);
  if (!chore) return;
  await workOnChore(deps, chore.jobId, chore.kind, deadlineMs);
  report.chores += 1;
}

async function sweepJob(deps: Deps, jobId: string, report: SweepReport): Promise<void> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest || isTerminalJobState(digest.state)) return;
  if (digest.timeoutAt !== undefined && Date.parse(digest.timeoutAt) <= deps.now() && !digest.cancel) {
    await cancelJob(deps, jobId, { cause: "job_timeout", detail: "the job ran longer than its timeout" });
    report.timedOut += 1;
  }
  if (digest.dispatchPending) report.dispatched += await announceAgain(deps, digest);
  await deps.jobs.noteDispatched({ ...digest, ...(await deps.jobs.getDigest(jobId)) });
}

/** Sends a message for each task that nobody has claimed yet; for some it is the second, which does no harm. */
async function announceAgain(deps: Deps, digest: JobDigest): Promise<number> {
  let announced = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await deps.tasks.list(digest, { limit: taskPageSize, state: "queued", ...(cursor ? { cursor } : {}) });
    const waiting = page.tasks.filter((task) => task.attempt === 0);
    await dispatchTasks(findPool(deps, digest.pool), waiting);
    announced += waiting.length;
    cursor = page.cursor;
    if (!cursor) return announced;
  }
}
