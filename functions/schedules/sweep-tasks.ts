import pLimit from "p-limit";
import { type Announcement, nextAnnouncement } from "../../shared/domain/announcement.ts";
import type { TaskItem } from "../../shared/repository/items.ts";
import { foldDueMs, type TaskAddress } from "../../shared/repository/move-task.ts";
import type { Loss, Requeue } from "../../shared/repository/task-moves.ts";
import type { Deps } from "../deps.ts";
import { dispatchTasks, findPool } from "../operations/dispatch.ts";
import { endOverdue, overdueAtMs } from "../operations/overdue.ts";
import { rescueAttempt } from "../operations/rescue.ts";
import type { SweptUnit } from "./sweep-report.ts";

const parallelTasks = 8;

/**
 * Looks at tasks of one job that are due: counts moves that no trigger told of, rescues attempts that fell silent,
 * ends those that should have ended, and announces again what waits unclaimed.
 */
export async function sweepTasks(deps: Deps, jobId: string, addresses: readonly TaskAddress[]): Promise<SweptUnit> {
  const tasks = await deps.tasks.getMany(addresses);
  const unfolded = tasks.filter((task) => task.outbox && task.outbox.length > 0);
  if (unfolded.length > 0) await deps.fold.foldTasks(jobId, unfolded);
  const limit = pLimit(parallelTasks);
  const found = await Promise.all(tasks.map((task) => limit(() => watchTask(deps, task))));
  const count = (what: Finding) => found.filter((finding) => finding === what).length;
  return {
    folded: unfolded.length,
    rescued: count("rescued"),
    timedOut: count("overdue"),
    dispatched: count("announced"),
  };
}

/** What the sweep did about a task beside counting its moves. */
type Finding = "rescued" | "overdue" | "announced" | "nothing";

/**
 * Rescues a running task whose lease ran out, ends one that its worker should have ended, announces one that waits
 * unclaimed, or notes when to look again.
 */
async function watchTask(deps: Deps, task: TaskItem): Promise<Finding> {
  if (task.state === "queued" && task.announce) return announceAgain(deps, task, task.announce);
  if (task.state !== "running" || !task.lease) {
    await deps.tasks.noteDue(task, undefined);
    return "nothing";
  }
  const { untilMs } = task.lease;
  if (untilMs <= deps.now()) return (await takeBack(deps, task)) ? "rescued" : "nothing";
  const overdueMs = overdueAtMs(task);
  if (overdueMs <= deps.now()) return (await giveUp(deps, task)) ? "overdue" : "nothing";
  await deps.tasks.noteDue(task, Math.min(untilMs + foldDueMs, overdueMs));
  return "nothing";
}

/** Where the task is tried again it gets a message: the one it had is kept hidden by the worker that did not end it. */
async function giveUp(deps: Deps, task: TaskItem): Promise<boolean> {
  const settlement = await endOverdue(deps, task);
  if (settlement.kind === "requeued") {
    await dispatchTasks(findPool(deps, task.pool), [task], settlement.delaySeconds);
  }
  return settlement.kind !== "refused";
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
 * Settles a lost attempt or puts its task back, and sends a message for it: the one it had comes back by itself unless
 * it was lost, and a second one does no harm.
 */
async function takeBack(deps: Deps, task: TaskItem): Promise<boolean> {
  const digest = task.cancel ? undefined : await deps.jobs.getDigest(task.jobId);
  const rescue = await rescueAttempt(deps, task, task.cancel ?? digest?.cancel);
  switch (rescue.kind) {
    case "raced":
      return false;
    case "ended":
      return true;
    case "requeued":
      await dispatchTasks(findPool(deps, task.pool), [task], rescue.delaySeconds);
      return true;
    case "lost":
      return putBack(deps, task, rescue.loss);
  }
}

async function putBack(deps: Deps, task: TaskItem, loss: Loss): Promise<boolean> {
  if (!task.lease) return false;
  const proof = { token: task.lease.token, seenUntilMs: task.lease.untilMs };
  const requeue: Requeue = { ...loss, counted: "infrastructure", delaySeconds: 0, nowMs: deps.now() };
  const move = await deps.tasks.requeue(task, proof, requeue);
  if (move.moved) await dispatchTasks(findPool(deps, task.pool), [move.task]);
  return move.moved;
}
