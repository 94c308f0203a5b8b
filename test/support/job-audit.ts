import { expect } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { decideJobOutcome, isTerminalJobState } from "../../shared/domain/job-state.ts";
import type { ReasonCode } from "../../shared/domain/reason.ts";
import { countEnded, taskCounts } from "../../shared/domain/task-counts.ts";
import { canTransition, isTerminalTaskState, type TaskState } from "../../shared/domain/task-state.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { ItemKey } from "../../shared/repository/keys.ts";
import type { ControlPlane } from "./control-plane.ts";

/** All there is about one job, read item by item. */
export interface JobRecords {
  digest: JobDigest;
  tasks: TaskItem[];
  events: JobEvent[];
  /** What the sweep would have to look at, in a hundred years. */
  due: ItemKey[];
  chores: string[];
  /** Needs of the tasks that have any. */
  needs: ReadonlyMap<string, readonly string[]>;
  /** Whether the job is among its pool's unfinished ones. */
  isActive: boolean;
}

const afterAllJobs = "~".repeat(26);
const hundredYearsMs = 100 * 365 * 24 * 3600_000;

export async function readJobRecords({ deps, clock }: ControlPlane, jobId: string): Promise<JobRecords> {
  const digest = await deps.jobs.getDigest(jobId);
  if (!digest) throw new Error(`there is no job ${jobId}`);
  const tasks: TaskItem[] = [];
  for (let cursor: string | undefined; ; ) {
    const page = await deps.tasks.list(digest, { limit: 1000, cursor });
    tasks.push(...page.tasks);
    cursor = page.cursor;
    if (!cursor) break;
  }
  const events: JobEvent[] = [];
  for (;;) {
    const page = await deps.events.listAfter(jobId, events.at(-1)?.seq ?? 0, 1000);
    if (page.length === 0) break;
    events.push(...page);
  }
  const due: ItemKey[] = [];
  for await (const page of deps.jobs.eachDuePage(clock.now() + hundredYearsMs, 500)) {
    due.push(...page.filter((key) => key.pk.includes(jobId)));
  }
  const chores: string[] = [];
  for (const kind of ["expand", "cancel", "retry"] as const) {
    if (await deps.jobs.getChore(jobId, kind)) chores.push(kind);
  }
  const { items } = await deps.jobs.listBefore({ pool: digest.pool, jobId: afterAllJobs }, 1000);
  const isActive = items.some((job) => job.jobId === jobId);
  const needs = digest.graph ? (await deps.graphs.get(jobId)).needs : new Map();
  return { digest, tasks, events, due, chores, needs, isActive };
}

/** Holds the records of a job at rest against each other: everything that is told twice must be told alike. */
export function auditJob(records: JobRecords): void {
  const { digest, tasks, events, due, chores, needs, isActive } = records;
  const counts = taskCounts();
  for (const task of tasks) counts[task.state] += 1;
  expect(digest.counts, "counts").toEqual(counts);
  expect(tasks, "tasks").toHaveLength(digest.total);
  expect(isActive, "among the unfinished").toBe(!isTerminalJobState(digest.state));
  expect(
    events.map((event) => event.seq),
    "sequence",
  ).toEqual(Array.from({ length: digest.seq }, (_, index) => index + 1));
  expect(events[0]?.type).toBe("job.submitted");
  for (const task of tasks) {
    auditTask(task, events, needs);
    const isDue = due.some(({ pk, sk }) => pk.startsWith("TASKS#") && sk === task.task);
    if (task.announce) expect(isDue, `${task.task}: its announcement is due`).toBe(true);
  }
  expect(digest.reasons ?? {}, "reasons").toEqual(countReasons(tasks, events));
  auditOutcome(records);
  if (chores.length === 0) auditGraph(records);
  const ran = tasks.some((task) => task.attempt > 0);
  expect(
    events.filter((event) => event.type === "job.started"),
    "starts",
  ).toHaveLength(ran ? 1 : 0);
  expect(digest.startedAt !== undefined).toBe(ran);
  if (digest.cancel && chores.length === 0) {
    const untold = tasks.filter(
      (task) => !isTerminalTaskState(task.state) && !(task.state === "running" && task.cancel),
    );
    expect(untold, "tasks of a cancelled job that go on as if nothing were").toEqual([]);
  }
  if (!isTerminalJobState(digest.state)) return;
  expect(due, "due").toEqual([]);
  expect(chores, "chores").toEqual([]);
}

/** Each attempt that ended with a reason, as its task tells, and each failure without one, of which only events tell. */
function countReasons(tasks: readonly TaskItem[], events: readonly JobEvent[]): Partial<Record<ReasonCode, number>> {
  const counts: Partial<Record<ReasonCode, number>> = {};
  const ofAttempts = tasks.flatMap(({ attempts }) => attempts.flatMap(({ outcome }) => outcome?.reason ?? []));
  const unclaimed = events.flatMap((event) => {
    if (event.type !== "task.transition" || event.from === "running") return [];
    return (event.to === "failed" || event.to === "timed_out") && event.reason ? [event.reason] : [];
  });
  for (const { code } of [...ofAttempts, ...unclaimed]) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}

function auditTask(task: TaskItem, events: readonly JobEvent[], needs: JobRecords["needs"]): void {
  const moves = events.flatMap((event) =>
    event.type === "task.transition" && event.task === task.task ? [event] : [],
  );
  let state: TaskState = needs.has(task.task) ? "pending" : "queued";
  for (const move of moves) {
    expect(move.from, `${task.task}: the chain of its moves`).toBe(state);
    expect(canTransition(move.from, move.to)).toBe(true);
    state = move.to;
  }
  expect(task.state, `${task.task}: state`).toBe(state);
  const ended = isTerminalTaskState(task.state);
  expect(
    moves.filter((move) => isTerminalTaskState(move.to)),
    `${task.task}: terminal moves`,
  ).toHaveLength(moves.filter((move) => isTerminalTaskState(move.from)).length + (ended ? 1 : 0));
  expect(task.outcome?.state, `${task.task}: outcome`).toBe(ended ? task.state : undefined);
  const starts = moves.filter((move) => move.to === "running").map((move) => move.attempt);
  expect(starts, `${task.task}: attempts`).toEqual(task.attempts.map((_, index) => index + 1));
  expect(task.attempt).toBe(task.attempts.length);
  expect(new Set(task.attempts.map((record) => record.leaseToken)).size).toBe(task.attempts.length);
  const open = task.attempts.filter((record) => record.endedAt === undefined);
  expect(open, `${task.task}: open attempts`).toHaveLength(task.state === "running" ? 1 : 0);
  expect(task.lease?.token, `${task.task}: lease`).toBe(open[0]?.leaseToken);
  // Only a worker hears of a cancel: a task that nobody holds must have been ended by it.
  expect(task.cancel !== undefined && task.state !== "running", `${task.task}: cancel`).toBe(false);
  if (task.state !== "queued") expect(task.announce, `${task.task}: announcement`).toBeUndefined();
  else if (task.attempt > 0) expect(task.announce, `${task.task}: announcement`).toBeDefined();
  expect(task.rev, `${task.task}: revision`).toBe(1 + moves.length);
  expect({ foldedRev: task.foldedRev, outbox: task.outbox, unfolded: task.unfolded }, `${task.task}: outbox`).toEqual({
    foldedRev: task.rev,
    outbox: undefined,
    unfolded: undefined,
  });
}

/**
 * The outcome is told by the digest and by one event, which comes right after the move with which all tasks had ended,
 * each time that was so; there is one cancel at most between two retries.
 */
function auditOutcome({ digest, tasks, events, needs }: JobRecords): void {
  const counts = taskCounts();
  for (const { task } of tasks) counts[needs.has(task) ? "pending" : "queued"] += 1;
  let cancel: JobDigest["cancel"];
  let ended: JobDigest["state"] | undefined;
  for (const [index, event] of events.entries()) {
    if (event.type === "job.cancel_requested") {
      expect(cancel, "a second cancel").toBeUndefined();
      cancel = event;
    }
    if (event.type === "job.retry_requested") cancel = undefined;
    if (event.type === "job.ended") {
      const before = events[index - 1];
      expect(before?.type === "task.transition" && isTerminalTaskState(before.to), "an end out of the blue").toBe(true);
    }
    if (event.type !== "task.transition") continue;
    counts[event.from] -= 1;
    counts[event.to] += 1;
    const next = events[index + 1];
    const allEnded = countEnded(counts) === tasks.length;
    expect(next?.type === "job.ended", `an end after event ${event.seq}`).toBe(allEnded);
    ended = allEnded ? decideJobOutcome(counts, cancel?.cause === "user") : undefined;
    if (allEnded) expect(next).toMatchObject({ state: ended, counts });
  }
  expect(digest.cancel?.cause, "cancel").toBe(cancel?.cause);
  expect(isTerminalJobState(digest.state), "the job has ended").toBe(ended !== undefined);
  expect(digest.endedAt !== undefined).toBe(ended !== undefined);
  if (ended) expect(digest.state).toBe(ended);
}

/** What a task waits for is what it needs and has not completed; it waits no longer than that can still complete. */
function auditGraph({ tasks, needs, events }: JobRecords): void {
  const byName = new Map(tasks.map((task) => [task.task, task]));
  const stateOf = (task: string) => byName.get(task)?.state ?? "pending";
  for (const { task, state, waitingFor, outcome } of tasks) {
    const own = needs.get(task) ?? [];
    const unmet = own.filter((need) => stateOf(need) !== "completed");
    const spent = unmet.filter((need) => isTerminalTaskState(stateOf(need)));
    if (state === "pending") {
      expect(spent, `${task} waits for what will not complete`).toEqual([]);
      expect([...(waitingFor ?? [])].sort(), `${task} waits for`).toEqual(unmet.toSorted());
      expect(unmet, `${task} waits for nothing`).not.toEqual([]);
    } else expect(waitingFor, `${task}: needs of a task that does not wait`).toBeUndefined();
    if (outcome?.reason?.code === "dependency_failed") {
      expect(spent, `${task} was ended without cause`).not.toEqual([]);
      expect(["skipped", "aborted"]).toContain(state);
    }
    const queued = events.findIndex(
      (event) => event.type === "task.transition" && event.task === task && event.to === "queued",
    );
    const before = events.slice(0, Math.max(0, queued));
    for (const need of own) {
      if (queued < 0) break;
      const completed = before.some(
        (event) => event.type === "task.transition" && event.task === need && event.to === "completed",
      );
      expect(completed, `${task} was queued before ${need} completed`).toBe(true);
    }
  }
}
