import { expect } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { decideJobOutcome, isTerminalJobState } from "../../shared/domain/job-state.ts";
import { taskCounts } from "../../shared/domain/task-counts.ts";
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
    const page = await deps.tasks.list(digest, { limit: 1000, ...(cursor ? { cursor } : {}) });
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
  for (const kind of ["expand", "cancel"] as const) {
    if (await deps.jobs.getChore(jobId, kind)) chores.push(kind);
  }
  const { items } = await deps.jobs.listBefore({ pool: digest.pool, jobId: afterAllJobs }, 1000);
  const isActive = items.some((job) => job.jobId === jobId);
  return { digest, tasks, events, due, chores, isActive };
}

/** Holds the records of a job at rest against each other: everything that is told twice must be told alike. */
export function auditJob({ digest, tasks, events, due, chores, isActive }: JobRecords): void {
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
    auditTask(task, events);
    const isDue = due.some(({ pk, sk }) => pk.startsWith("TASKS#") && sk === task.task);
    if (task.announce) expect(isDue, `${task.task}: its announcement is due`).toBe(true);
  }
  auditOutcome(digest, tasks, events);
  const cancels = events.filter((event) => event.type === "job.cancel_requested");
  expect(
    cancels.map(({ cause }) => cause),
    "cancels",
  ).toEqual(digest.cancel ? [digest.cancel.cause] : []);
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

function auditTask(task: TaskItem, events: readonly JobEvent[]): void {
  const moves = events.flatMap((event) =>
    event.type === "task.transition" && event.task === task.task ? [event] : [],
  );
  let state: TaskState = "queued";
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
  ).toHaveLength(ended ? 1 : 0);
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

/** The outcome is told by the digest and by one event, which comes right after the last terminal move. */
function auditOutcome(digest: JobDigest, tasks: readonly TaskItem[], events: readonly JobEvent[]): void {
  const ends = events.filter((event) => event.type === "job.ended");
  const allEnded = tasks.every((task) => isTerminalTaskState(task.state));
  expect(isTerminalJobState(digest.state), "the job has ended").toBe(allEnded);
  expect(digest.endedAt !== undefined).toBe(allEnded);
  expect(ends, "ends").toHaveLength(allEnded ? 1 : 0);
  if (!allEnded) return;
  expect(digest.state).toBe(decideJobOutcome(digest.counts, digest.cancel?.cause === "user"));
  expect(events.at(-1)).toMatchObject({ type: "job.ended", state: digest.state, counts: digest.counts });
  const before = events.at(-2);
  expect(before?.type === "task.transition" && isTerminalTaskState(before.to), "the last move ended a task").toBe(true);
}
