import pLimit from "p-limit";
import { type Announcement, nextAnnouncement } from "../../shared/domain/announcement.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import { foldDueMs, type Requeue, type TaskAddress } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { dispatchTasks, findPool } from "../operations/dispatch.ts";
import { rescueAttempt } from "../operations/rescue.ts";
import type { SweptUnit } from "./sweep-report.ts";

const parallelTasks = 8;

/**
 * Looks at tasks of one job that are due: counts moves that no trigger told of, rescues attempts that fell silent, and
 * announces again what waits unclaimed.
 */
export async function sweepTasks(deps: Deps, jobId: string, addresses: readonly TaskAddress[]): Promise<SweptUnit> {
  const tasks = await deps.tasks.getMany(addresses);
  const unfolded = tasks.filter((task) => task.outbox && task.outbox.length > 0);
  if (unfolded.length > 0) await deps.fold.foldTasks(jobId, unfolded);
  const limit = pLimit(parallelTasks);
  const found = await Promise.all(tasks.map((task) => limit(() => watchTask(deps, task))));
  const count = (what: Finding) => found.filter((finding) => finding === what).length;
  return { folded: unfolded.length, rescued: count("rescued"), dispatched: count("announced") };
}

/** What the sweep did about a task beside counting its moves. */
type Finding = "rescued" | "announced" | "nothing";

/** Rescues a running task if its lease ran out, announces one that waits unclaimed, or notes when to look again. */
async function watchTask(deps: Deps, task: TaskItem): Promise<Finding> {
  if (task.state === "queued" && task.announce) return announceAgain(deps, task, task.announce);
  if (task.state !== "running" || !task.lease) {
    await deps.tasks.noteDue(task, undefined);
    return "nothing";
  }
  const { untilMs } = task.lease;
  if (untilMs > deps.now()) {
    await deps.tasks.noteDue(task, untilMs + foldDueMs);
    return "nothing";
  }
  return (await takeBack(deps, task)) ? "rescued" : "nothing";
}

/** The message goes first: a crash before the note only sends it twice. */
async function announceAgain(deps: Deps, task: TaskItem, announce: Announcement): Promise<Finding> {
  if (announce.atMs > deps.now()) {
    await deps.tasks.noteDue(task, announce.atMs);
    return "nothing";
  }
  await dispatchTasks(findPool(deps, task.pool), [task]);
  await deps.tasks.noteAnnounced(task, nextAnnouncement(announce, deps.now()));
  return "announced";
}

/**
 * Settles a lost attempt or puts its task back. A message of its own is sent first: the one it had comes back by itself
 * unless it was lost, and a second one does no harm.
 */
async function takeBack(deps: Deps, task: TaskItem): Promise<boolean> {
  const digest = task.cancel ? undefined : await deps.jobs.getDigest(task.jobId);
  const rescue = await rescueAttempt(deps, task, task.cancel ?? digest?.cancel);
  if (rescue.kind === "raced") return false;
  if (rescue.kind === "ended") return true;
  await dispatchTasks(findPool(deps, task.pool), [task]);
  if (rescue.kind === "requeued" || !task.lease) return true;
  const detail = `attempt ${task.attempt}: worker ${task.lease.workerId} stopped renewing its lease`;
  const proof = { token: task.lease.token, seenUntilMs: task.lease.untilMs };
  const requeue: Requeue = {
    reason: reasonFor("worker_lost", detail),
    counted: "infrastructure",
    delaySeconds: 0,
    nowMs: deps.now(),
  };
  return (await deps.tasks.requeue(task, proof, requeue)).moved;
}
