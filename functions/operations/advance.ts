import pLimit from "p-limit";
import { taskBucket } from "../../shared/domain/ids.ts";
import { dependencyReason } from "../../shared/domain/reason.ts";
import type { TaskGraph } from "../../shared/domain/task-graph.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { Chore, JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { dispatchTasks, findPool } from "./dispatch.ts";

const eventPageSize = 500;
/** Dependants looked at together. */
const batchSize = 100;
const parallelMoves = 8;
const raceTries = 5;

/**
 * Moves the graph of a job on after the events that the chore has not worked off. Events only say where to look: what
 * happens is decided by the tasks themselves, so that old news does no harm. The chore stays due where it could not
 * finish.
 */
export async function advanceGraph(deps: Deps, chore: Chore, digest: JobDigest, deadlineMs: number): Promise<void> {
  const { jobId } = digest;
  let current = chore;
  for (let job: JobDigest | undefined = digest; job; job = await deps.jobs.getDigest(jobId)) {
    // The cancel of a job ends all its tasks, also those that wait.
    const position = job.cancel ? job.seq : await workOffEvents(deps, current, job, deadlineMs);
    if (position === undefined) return;
    const cursor = String(position);
    // The digest was read after the chore: what woke the chore has been seen once the digest's newest event has.
    if (position < job.seq && (await deps.jobs.moveAdvance(current, cursor))) current = { ...current, cursor };
    else if (position >= job.seq && (await deps.jobs.restAdvance(current, cursor))) return;
    else {
      const newest = await deps.jobs.getChore(jobId, "advance");
      if (!newest) return;
      current = newest;
    }
  }
}

/** Works off a page of events; answers how far it came, or undefined where it must be resumed. */
async function workOffEvents(
  deps: Deps,
  chore: Chore,
  digest: JobDigest,
  deadlineMs: number,
): Promise<number | undefined> {
  const { jobId } = digest;
  if (deps.now() > deadlineMs || (await isHeldUp(deps, jobId))) return undefined;
  const events = await deps.events.listAfter(jobId, Number(chore.cursor), eventPageSize);
  const graph = await deps.graphs.get(jobId);
  const ended = events.flatMap((event) => {
    if (event.type !== "task.transition") return [];
    if (isTerminalTaskState(event.to)) return [event.task];
    // It waits again after a retry: what it needs may have ended before that, when nobody was waiting for it.
    return event.to === "pending" ? (graph.needs.get(event.task) ?? []) : [];
  });
  const done = await advanceFrom(deps, digest, graph, new Set(ended), deadlineMs);
  return done ? (events.at(-1)?.seq ?? digest.seq) : undefined;
}

/**
 * Tasks may still be on their way into the table or into another state: then nobody may conclude from what there is.
 * The end of either chore wakes this one.
 */
async function isHeldUp(deps: Deps, jobId: string): Promise<boolean> {
  return (await deps.jobs.getChores(jobId, ["expand", "retry"])).length > 0;
}

/**
 * Moves on what waits for those of the tasks named that have ended, and what waits for those that end by it; false
 * where it must be resumed.
 */
async function advanceFrom(
  deps: Deps,
  digest: JobDigest,
  graph: TaskGraph,
  named: ReadonlySet<string>,
  deadlineMs: number,
): Promise<boolean> {
  for (let ended = named; ended.size > 0; ) {
    const dependants = [...new Set([...ended].flatMap((task) => graph.dependants.get(task) ?? []))];
    const endedNext = new Set<string>();
    for (let start = 0; start < dependants.length; start += batchSize) {
      if (deps.now() > deadlineMs) return false;
      const batch = dependants.slice(start, start + batchSize);
      const skipped = await advanceBatch(deps, digest, graph, batch, ended);
      if (!skipped) return false;
      for (const task of skipped) endedNext.add(task);
    }
    ended = endedNext;
  }
  return true;
}

/** Moves some dependants of ended tasks on; answers which of them ended by it, or undefined where it must be resumed. */
async function advanceBatch(
  deps: Deps,
  digest: JobDigest,
  graph: TaskGraph,
  dependants: readonly string[],
  ended: ReadonlySet<string>,
): Promise<string[] | undefined> {
  const limit = pLimit(parallelMoves);
  const skipped: string[] = [];
  let names = dependants;
  for (let tries = 0; tries < raceTries; tries++) {
    const waiting = (await readTasks(deps, digest, names)).filter(({ state }) => state === "pending");
    if (waiting.length === 0) return skipped;
    // In this order: a retry that began after the dependants were read will have touched them before it moves a need.
    if (await isHeldUp(deps, digest.jobId)) return undefined;
    const needsOf = (task: TaskItem) => (graph.needs.get(task.task) ?? []).filter((need) => ended.has(need));
    const needs = await readTasks(deps, digest, [...new Set(waiting.flatMap(needsOf))]);
    const byName = new Map(needs.map((need) => [need.task, need]));
    const steps = await Promise.all(
      waiting.map((task) =>
        limit(() =>
          advanceTask(
            deps,
            task,
            needsOf(task).flatMap((need) => byName.get(need) ?? []),
          ),
        ),
      ),
    );
    const queued = waiting.filter((_, index) => steps[index] === "queued");
    await dispatchTasks(findPool(deps, digest.pool), queued);
    skipped.push(...waiting.flatMap(({ task }, index) => (steps[index] === "ended" ? [task] : [])));
    names = waiting.flatMap(({ task }, index) => (steps[index] === "raced" ? [task] : []));
    if (names.length === 0) return skipped;
  }
  return undefined;
}

type Step = "queued" | "ended" | "waits" | "raced";

/** Decides about one pending task by those of its needs that have ended. */
async function advanceTask(deps: Deps, task: TaskItem, needs: readonly TaskItem[]): Promise<Step> {
  const end = endByNeeds(needs);
  if (end) return (await deps.tasks.endPending(task, end, deps.now())).moved ? "ended" : "raced";
  const completed = new Set(needs.flatMap((need) => (need.state === "completed" ? [need.task] : [])));
  if (completed.size === 0 && task.waitingFor !== undefined) return "waits";
  const move = await deps.tasks.meetNeeds(task, completed, deps.now());
  if (!move.moved) return "raced";
  return move.task.state === "queued" ? "queued" : "waits";
}

/** How a task ends one of whose needs ended without having completed: the first of them in its list decides. */
function endByNeeds(needs: readonly TaskItem[]) {
  for (const { task, state, outcome } of needs) {
    if (!isTerminalTaskState(state) || state === "completed") continue;
    const reason = dependencyReason({ task, state, fault: outcome?.reason?.fault });
    return { state: state === "aborted" ? ("aborted" as const) : ("skipped" as const), reason };
  }
  return undefined;
}

function readTasks(deps: Deps, { jobId, bucketCount }: JobDigest, names: readonly string[]): Promise<TaskItem[]> {
  return deps.tasks.getMany(names.map((task) => ({ jobId, task, bucket: taskBucket(task, bucketCount) })));
}
