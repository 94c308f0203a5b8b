import type { JobEvent, TaskTransitionEvent } from "../../../events/index.ts";
import type { Attempt, Task } from "../../../shared/api/schemas.ts";
import { decideJobOutcome } from "../../../shared/domain/job-state.ts";
import type { TaskCounts } from "../../../shared/domain/task-counts.ts";
import { isTerminalTaskState, type TaskState, taskStates } from "../../../shared/domain/task-state.ts";
import { maxInfrastructureAttempts } from "../../../shared/domain/timing.ts";
import type { JobRecord } from "./patient-api.ts";
import type { PlannedJob, PlannedTask } from "./workload.ts";

/** What has to hold at the end of a run; a finding names the one that it breaks. */
export const checks = {
  outcome: "every task ended with the outcome that its exit code, its needs, or a cancel or timeout of its job demand",
  terminalEvent: "exactly one terminal event for each task (one more for each retry), and it is the task's outcome",
  attempts: "the attempts of each task are whole: numbered, ended, only the last one ended the task",
  counts: "the counts equal a brute-force count over the tasks and over the events",
  sequence: "the events of each job have no gap, begin with its submit and end with its end",
  jobs: "each job was created once and ended as its tasks demand",
  manifests: "the attempt that ended a task has one result.json that says the same, and all it names is there",
  why: "each task can say why it ended as it did",
  logs: "the log of the attempt that ended a task is whole and in order",
  queue: "no message is left in the queue or its dead-letter queue",
  remains: "no container, network, workspace folder or process is left",
  stack: "the stack came back after each kill and stopped as it should",
} as const;
export type CheckName = keyof typeof checks;

/** Something that does not hold. */
export interface Finding {
  check: CheckName;
  jobId?: string;
  task?: string;
  what: string;
}

/** Tells everything that is wrong with a job, by its plan and by all that the API says about it. */
export function judgeJob(plan: PlannedJob, record: JobRecord): Finding[] {
  const { job, tasks, events } = record;
  const byTask = Map.groupBy(events.filter(isTransition), (event) => event.task);
  const found = new Map(tasks.map((task) => [task.task, task]));
  const aboutTasks = plan.tasks.flatMap((planned) => {
    const task = found.get(planned.name);
    if (!task) return [{ check: "outcome" as const, task: planned.name, what: "the task does not exist" }];
    const moves = byTask.get(planned.name) ?? [];
    return [
      ...judgeOutcome(plan, planned, task, found),
      ...judgeMoves(plan, planned, task, moves),
      ...judgeAttempts(plan, task),
    ];
  });
  const aboutJob = [...judgeSequence(plan, events), ...judgeCounts(record, plan), ...judgeJobState(record)];
  return [...aboutTasks, ...aboutJob].map((finding) => ({ jobId: job.job, ...finding }));
}

function isTransition(event: JobEvent): event is TaskTransitionEvent {
  return event.type === "task.transition";
}

/** Infrastructure may fail under a task only so often; a task that it failed under to the limit ends as failed by it. */
export function wasGivenUp(task: Task): boolean {
  const failures = task.attempts.filter(({ outcome }) => outcome?.reason?.fault === "infrastructure").length;
  return task.status === "failed" && task.reason?.fault === "infrastructure" && failures >= maxInfrastructureAttempts;
}

/** Tells whether a task ended as its own exit code demands: then it has run, and left what it should have left. */
export function endedByItself({ demanded }: PlannedTask, task: Task): boolean {
  return (
    task.status === demanded.state &&
    task.exitCode === demanded.exitCode &&
    (task.warning ?? false) === (demanded.warning ?? false)
  );
}

function judgeOutcome(plan: PlannedJob, planned: PlannedTask, task: Task, tasks: ReadonlyMap<string, Task>): Finding[] {
  const needs = (planned.needs ?? []).flatMap((name) => tasks.get(name) ?? []);
  const failedNeeds = needs.filter(({ status }) => status !== "completed");
  if (endedByEnding(plan, task)) return [];
  if (failedNeeds.length > 0 ? endedByNeeds(task, failedNeeds) : endedByItself(planned, task) || wasGivenUp(task)) {
    return [];
  }
  const is = `${task.status}, exit code ${task.exitCode}, ${task.reason?.code ?? "no reason"}: ${task.reason?.detail ?? ""}`;
  const demanded = failedNeeds.length > 0 ? "the end of its needs" : JSON.stringify(planned.demanded);
  return [{ check: "outcome", task: planned.name, what: `is ${is}; demanded was ${demanded}` }];
}

function endedByNeeds(task: Task, failedNeeds: readonly Task[]): boolean {
  const states = failedNeeds.map(({ status }) => (status === "aborted" ? "aborted" : "skipped"));
  return task.attempt === 0 && task.reason?.code === "dependency_failed" && states.some((it) => it === task.status);
}

/** A cancel or a timeout may come too late for some tasks of its job, or for all. */
function endedByEnding({ ending }: PlannedJob, { task, status, reason }: Task): boolean {
  switch (ending?.kind) {
    case undefined:
    case "retry":
      return false;
    case "cancel_job":
      return status === "aborted" && reason?.code === "cancelled";
    case "cancel_task":
      return task === ending.task && status === "aborted" && reason?.code === "cancelled";
    case "job_timeout":
      return status === "timed_out" && reason?.code === "timed_out";
  }
}

function judgeMoves(
  { ending }: PlannedJob,
  planned: PlannedTask,
  task: Task,
  moves: readonly TaskTransitionEvent[],
): Finding[] {
  const findings: Finding[] = [];
  const add = (what: string) => findings.push({ check: "terminalEvent", task: task.task, what });
  const isDependant = firstState(planned) === "pending";
  const terminal = moves.filter((move) => isTerminalTaskState(move.to));
  const begun = moves.filter((move) => isTerminalTaskState(move.from)).length;
  const mayBegin = ending?.kind === "retry" && (ending.task === task.task || isDependant) ? 1 : 0;
  if (terminal.length !== begun + 1) add(`has ${terminal.length} terminal events, and began again ${begun} times`);
  if (begun > mayBegin) add(`began again ${begun} times`);
  const last = moves.at(-1);
  if (last && (last.to !== task.status || last.attempt !== task.attempt)) {
    add(`its last event says ${last.to} by attempt ${last.attempt}, the task ${task.status} by ${task.attempt}`);
  }
  let state = firstState(planned);
  for (const move of moves) {
    if (move.from !== state) add(`event ${move.seq} moves it from ${move.from}, where it was ${state}`);
    state = move.to;
  }
  return findings;
}

function firstState({ needs = [] }: PlannedTask): TaskState {
  return needs.length > 0 ? "pending" : "queued";
}

function judgeAttempts({ spec, ending }: PlannedJob, task: Task): Finding[] {
  const findings: Finding[] = [];
  const add = (what: string) => findings.push({ check: "attempts", task: task.task, what });
  if (task.attempts.length !== task.attempt) add(`has ${task.attempts.length} attempts, the last is ${task.attempt}`);
  const isRetried = ending?.kind === "retry" && ending.task === task.task;
  for (const [index, attempt] of task.attempts.entries()) {
    if (attempt.attempt !== index + 1) add(`attempt ${attempt.attempt} is the ${index + 1}. of the list`);
    if (attempt.endedAt === undefined || attempt.outcome === undefined) add(`attempt ${attempt.attempt} has no end`);
    const isLast = index === task.attempts.length - 1;
    if (isLast || isRetried) continue;
    if (endsTask(attempt) && !isTriedAgain(attempt)) add(`attempt ${index + 1} ended the task, and others followed`);
    if (attempt.outcome?.reason === undefined) add(`attempt ${index + 1} has no reason`);
  }
  const ownFailures = task.attempts.filter(isTriedAgain).length;
  const mayFail = (spec.retry?.attempts ?? ownFailures) * (isRetried ? 2 : 1);
  if (ownFailures > mayFail) add(`failed by itself ${ownFailures} times`);
  return findings;

  function isTriedAgain({ outcome }: Attempt): boolean {
    return spec.retry !== undefined && outcome?.state === "failed" && outcome.reason?.code === "exit_code";
  }
}

/** An attempt that others follow ended for a reason of infrastructure; any other outcome is the task's. */
function endsTask({ outcome }: Attempt): boolean {
  return outcome?.state !== undefined && outcome.reason?.fault !== "infrastructure";
}

function judgeSequence({ ending }: PlannedJob, events: readonly JobEvent[]): Finding[] {
  const findings: Finding[] = [];
  const add = (what: string) => findings.push({ check: "sequence", what });
  const gap = events.findIndex((event, index) => event.seq !== index + 1);
  if (gap >= 0) add(`event ${gap + 1} of the list has the number ${events[gap]?.seq}`);
  if (events[0]?.type !== "job.submitted") add(`the first event is ${events[0]?.type}`);
  if (events.at(-1)?.type !== "job.ended") add(`the last event is ${events.at(-1)?.type}`);
  const retries = events.filter((event) => event.type === "job.retry_requested").length;
  if (retries !== (ending?.kind === "retry" ? 1 : 0)) add(`the job was retried ${retries} times`);
  for (const type of ["job.submitted", "job.started", "job.ended"]) {
    const times = events.filter((event) => event.type === type).length;
    // A job that was cancelled early never started.
    const isLate = type === "job.started" && times === 0 && ending !== undefined;
    const expected = type === "job.ended" ? 1 + retries : 1;
    if (times !== expected && !isLate) add(`${type} happened ${times} times`);
  }
  return findings;
}

function judgeCounts({ job, tasks, events }: JobRecord, plan: PlannedJob): Finding[] {
  const byTasks = emptyCounts();
  for (const task of tasks) byTasks[task.status] += 1;
  const byEvents = emptyCounts();
  for (const task of plan.tasks) byEvents[firstState(task)] += 1;
  for (const event of events.filter(isTransition)) {
    byEvents[event.from] -= 1;
    byEvents[event.to] += 1;
  }
  const findings: Finding[] = [];
  for (const state of taskStates) {
    const said = job.counts[state];
    if (said === byTasks[state] && said === byEvents[state]) continue;
    const what = `${state}: the job says ${said}, its tasks ${byTasks[state]}, its events ${byEvents[state]}`;
    findings.push({ check: "counts", what });
  }
  if (job.total !== plan.tasks.length) {
    findings.push({ check: "counts", what: `the job has ${job.total} tasks of ${plan.tasks.length} planned ones` });
  }
  const ended = events.findLast((event) => event.type === "job.ended");
  if (ended && taskStates.some((state) => ended.counts[state] !== byTasks[state])) {
    findings.push({ check: "counts", what: `its end says ${JSON.stringify(ended.counts)}` });
  }
  return findings;
}

function judgeJobState({ job, events }: JobRecord): Finding[] {
  const isCancelled = events.some((event) => event.type === "job.cancel_requested" && event.cause === "user");
  const demanded = decideJobOutcome({ ...emptyCounts(), ...job.counts }, isCancelled);
  const ended = events.findLast((event) => event.type === "job.ended");
  if (job.status === demanded && ended?.state === demanded) return [];
  return [{ check: "jobs", what: `is ${job.status} (its event: ${ended?.state}); demanded was ${demanded}` }];
}

function emptyCounts(): TaskCounts {
  return Object.fromEntries(taskStates.map((state) => [state, 0])) as TaskCounts;
}

/** The story of a task: its events and attempts, as lines of text. */
export function tellStory(record: JobRecord, taskName: string): string[] {
  const task = record.tasks.find((candidate) => candidate.task === taskName);
  const moves = record.events.filter(isTransition).filter((event) => event.task === taskName);
  return [
    `${record.job.job}/${taskName}: ${task?.status ?? "does not exist"}`,
    ...moves.map((move) => {
      const by = move.workerId ? ` on ${move.workerId}` : "";
      const why = move.reason ? ` (${move.reason.code}: ${move.reason.detail})` : "";
      return `  ${move.at} #${move.seq} attempt ${move.attempt}: ${move.from} → ${move.to}${by}${why}`;
    }),
    ...(task?.attempts ?? []).map((attempt) => {
      const { outcome } = attempt;
      const end = `${outcome?.state ?? "-"} ${outcome?.exitCode ?? ""} ${outcome?.reason?.code ?? ""}`.trimEnd();
      return `  attempt ${attempt.attempt} on ${attempt.workerId}: ${attempt.claimedAt} … ${attempt.endedAt ?? "open"}: ${end}`;
    }),
  ];
}
