import type { JobEvent, TaskTransitionEvent } from "../../events/index.ts";
import type { Job, TaskBrief, TaskSummary } from "../api/schemas.ts";
import type { JobState } from "../domain/job-state.ts";
import { type TaskCounts, taskCounts } from "../domain/task-counts.ts";
import { isTerminalTaskState, type TaskState } from "../domain/task-state.ts";

/** What a watcher knows about one task: another object once it has changed. Times are milliseconds since the epoch of the control plane's clock. */
export interface TaskView {
  task: string;
  status: TaskState;
  attempt: number;
  workerId: string | undefined;
  startedAtMs: number | undefined;
  endedAtMs: number | undefined;
  exitCode: number | undefined;
  warning: boolean;
  reason: TaskSummary["reason"];
  /** Of a pending task, where it is known: the first of the tasks it waits for, and how many they are. */
  waitingFor?: { names: string[]; count: number } | undefined;
  artifactCount: number;
  artifactBytes: number;
}

/** A task as a list shows it: how much of it depends on the list. */
type ListedTask = TaskBrief & Partial<Pick<TaskSummary, "workerId" | "artifacts">>;

/** What a watcher knows about a job. `applyEvent` changes it in place: a job has tens of thousands of events. */
export interface JobView {
  job: string;
  name: string;
  pool: string;
  status: JobState;
  total: number;
  counts: TaskCounts;
  /** Failed tasks that are shown as warnings; part of `counts.failed`. */
  warnings: number;
  createdAtMs: number;
  endedAtMs: number | undefined;
  cancel: { cause: string; detail: string } | undefined;
  tasks: Map<string, TaskView>;
  /** Names of running tasks, the longest running first. */
  running: Set<string>;
  /** Names of the tasks that ended or went back to the queue last, oldest first, at most `recentLength`. */
  recent: string[];
  /** By task, the pending tasks that are known to wait for it. */
  waiters: Map<string, Set<string>>;
  /** Sequence number of the newest event that `counts` include. */
  countedSeq: number;
}

/** Recent tasks that are kept: more than any terminal shows. */
export const recentLength = 100;

/** The view as the API tells it at one moment: counts exact as of `job.lastEvent`, tasks possibly a little newer. */
export function startView(job: Job, tasks: Iterable<ListedTask>): JobView {
  const view: JobView = {
    job: job.job,
    name: job.name,
    pool: job.pool,
    status: job.status,
    total: job.total,
    counts: taskCounts(job.counts),
    warnings: 0,
    createdAtMs: Date.parse(job.createdAt),
    endedAtMs: parseTime(job.endedAt),
    cancel: job.cancel && { cause: job.cancel.cause, detail: job.cancel.detail },
    tasks: new Map(),
    running: new Set(),
    recent: [],
    waiters: new Map(),
    countedSeq: job.lastEvent,
  };
  for (const summary of tasks) setTask(view, viewTask(summary));
  const byStart = [...view.running].sort((a, b) => startOf(view, a) - startOf(view, b));
  view.running = new Set(byStart);
  const ended = [...view.tasks.values()].filter((task) => task.endedAtMs !== undefined);
  ended.sort((a, b) => (a.endedAtMs ?? 0) - (b.endedAtMs ?? 0));
  view.recent = ended.slice(-recentLength).map(({ task }) => task);
  return view;
}

/** A task as a list of tasks shows it, as a watcher's knowledge. */
export function viewTask(summary: ListedTask): TaskView {
  return {
    task: summary.task,
    status: summary.status,
    attempt: summary.attempt,
    workerId: summary.workerId,
    startedAtMs: parseTime(summary.startedAt),
    endedAtMs: parseTime(summary.endedAt),
    exitCode: summary.exitCode,
    warning: summary.warning === true,
    reason: summary.reason,
    waitingFor: summary.waitingFor && {
      names: summary.waitingFor,
      count: summary.waitingForCount ?? summary.waitingFor.length,
    },
    ...sumArtifacts(summary.artifacts),
  };
}

/** Takes a later part of the list of tasks into the view; where events have told of a task they know better. */
export function addTasks(view: JobView, tasks: Iterable<ListedTask>): void {
  for (const summary of tasks) {
    const listed = viewTask(summary);
    const known = view.tasks.get(summary.task);
    if (!known) setTask(view, listed);
    // Its start may have been before the first event that was seen.
    else if (known.attempt === listed.attempt && known.startedAtMs === undefined) {
      view.tasks.set(known.task, { ...known, startedAtMs: listed.startedAtMs });
    }
  }
}

/** Takes one event into the view. Events up to `countedSeq` change what is known of tasks, not the counts. */
export function applyEvent(view: JobView, event: JobEvent): void {
  const isCounted = event.seq <= view.countedSeq;
  if (!isCounted) view.countedSeq = event.seq;
  switch (event.type) {
    case "job.submitted":
      view.total = event.tasks;
      break;
    case "job.started":
      if (!isCounted) view.status = "running";
      break;
    case "job.retry_requested":
      view.cancel = undefined;
      break;
    case "job.cancel_requested":
      view.cancel = { cause: event.cause, detail: event.detail };
      break;
    case "job.ended":
      if (isCounted) break;
      view.status = event.state;
      view.endedAtMs = Date.parse(event.at);
      view.counts = taskCounts(event.counts);
      break;
    case "task.transition":
      applyTransition(view, event, isCounted);
      break;
  }
}

function applyTransition(view: JobView, event: TaskTransitionEvent, isCounted: boolean): void {
  if (!isCounted) {
    view.counts[event.from] = Math.max(0, view.counts[event.from] - 1);
    view.counts[event.to] += 1;
    if (isTerminalTaskState(event.from)) {
      // A retry of an ended task brings an ended job back.
      view.endedAtMs = undefined;
      view.status = "running";
    }
  }
  const before = view.tasks.get(event.task);
  const atMs = Date.parse(event.at);
  const hasEnded = isTerminalTaskState(event.to);
  // A task's time runs from its first start, as the API tells it; a retry of an ended task begins anew.
  const startedBeforeMs = isTerminalTaskState(event.from) ? undefined : before?.startedAtMs;
  setTask(view, {
    task: event.task,
    status: event.to,
    attempt: event.attempt,
    workerId: event.workerId ?? before?.workerId,
    startedAtMs: startedBeforeMs ?? (event.to === "running" ? atMs : undefined),
    endedAtMs: hasEnded ? atMs : undefined,
    exitCode: event.exitCode,
    warning: event.warning === true,
    reason: event.reason,
    ...sumArtifacts(event.artifacts),
  });
  if (event.to === "completed") noteCompleted(view, event.task);
  if (hasEnded || (event.to === "queued" && event.from === "running")) {
    view.recent.push(event.task);
    if (view.recent.length > 2 * recentLength) view.recent.splice(0, recentLength);
  }
}

function setTask(view: JobView, task: TaskView): void {
  const before = view.tasks.get(task.task);
  view.warnings += countWarning(task) - countWarning(before);
  view.tasks.set(task.task, task);
  for (const need of task.waitingFor?.names ?? []) {
    const waiters = view.waiters.get(need) ?? new Set();
    view.waiters.set(need, waiters.add(task.task));
  }
  if (task.status !== "running") view.running.delete(task.task);
  else if (before?.attempt !== task.attempt || !view.running.has(task.task)) {
    view.running.delete(task.task);
    view.running.add(task.task);
  }
}

/** What waited for the task waits for one less. */
function noteCompleted(view: JobView, task: string): void {
  for (const waiter of view.waiters.get(task) ?? []) {
    const known = view.tasks.get(waiter);
    const { names = [], count = 0 } = known?.waitingFor ?? {};
    if (!known || !names.includes(task)) continue;
    const waitingFor = { names: names.filter((name) => name !== task), count: count - 1 };
    view.tasks.set(waiter, { ...known, waitingFor });
  }
  view.waiters.delete(task);
}

function countWarning(task: TaskView | undefined): number {
  return task?.status === "failed" && task.warning ? 1 : 0;
}

function sumArtifacts(artifacts: TaskSummary["artifacts"]): { artifactCount: number; artifactBytes: number } {
  const list = artifacts ?? [];
  return { artifactCount: list.length, artifactBytes: list.reduce((sum, { size }) => sum + size, 0) };
}

function startOf(view: JobView, task: string): number {
  return view.tasks.get(task)?.startedAtMs ?? 0;
}

function parseTime(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Date.parse(text);
}

/** How long a task has run, or ran; undefined where it never started. */
export function taskSpanMs(task: TaskView, nowMs: number): number | undefined {
  return task.startedAtMs === undefined ? undefined : Math.max(0, (task.endedAtMs ?? nowMs) - task.startedAtMs);
}
