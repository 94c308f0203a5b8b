import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import type { JobEvent } from "../../events/index.ts";
import type { ArtifactFile, ArtifactList, LiveArtifact } from "../../shared/api/artifact-schemas.ts";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { Job, Task, TaskSummary } from "../../shared/api/schemas.ts";
import { newJobId } from "../../shared/domain/ids.ts";
import { decideJobOutcome, isTerminalJobState } from "../../shared/domain/job-state.ts";
import type { Reason } from "../../shared/domain/reason.ts";
import { countEnded, taskCounts } from "../../shared/domain/task-counts.ts";
import { isTerminalTaskState, type TaskState } from "../../shared/domain/task-state.ts";

/** What a move of a task brings besides the state. */
export interface FakeMove {
  exitCode?: number;
  warning?: boolean;
  reason?: Reason;
  workerId?: string;
}

/** An artifact and the bytes that its link leads to. */
export interface FakeArtifact {
  name: string;
  body: Buffer;
  sha256: string;
}

/** A job that tests move by hand; digest, tasks and events keep together as the control plane keeps them. */
export interface FakeJob {
  readonly id: string;
  readonly job: Job;
  readonly tasks: Map<string, Task>;
  readonly events: JobEvent[];
  /** Emits `change` after each event, log line and end of a log. */
  readonly changes: EventEmitter;
  readonly artifacts: Map<string, FakeArtifact[]>;
  /** What is listed of the artifacts of a task. */
  readonly files: Map<string, ArtifactFile[]>;
  /** Artifacts by task whose time is over. */
  readonly expired: Map<string, ArtifactList["expired"]>;
  /** What looks at a request for a running task's output find, one after the other; the last one stays. */
  readonly live: Map<string, (LiveArtifact | FakeArtifact)[]>;
  lines(task: string): ApiLogLine[];
  isLogComplete(task: string): boolean;
  move(task: string, to: TaskState, move?: FakeMove): void;
  log(task: string, text: string, stream?: "stdout" | "stderr"): void;
  requestCancel(detail: string): void;
  /** Queues ended tasks again, as a retry does; the job runs again. */
  retry(tasks: readonly string[], by: string): void;
  addArtifact(task: string, artifact: FakeArtifact): void;
}

type EventBody = JobEvent extends infer E
  ? E extends JobEvent
    ? Omit<E, "v" | "seq" | "jobId" | "at">
    : never
  : never;

/** Creates a job whose tasks are queued. */
export function createFakeJob(name: string, taskNames: readonly string[], submittedBy = "tester"): FakeJob {
  const id = newJobId(name, Date.now());
  const createdAt = new Date().toISOString();
  const changes = new EventEmitter();
  changes.setMaxListeners(0);
  const events: JobEvent[] = [];
  const logs = new Map<string, ApiLogLine[]>();
  const artifacts = new Map<string, FakeArtifact[]>();
  const expired: FakeJob["expired"] = new Map();
  const live: FakeJob["live"] = new Map();
  const total = taskNames.length;
  const counts = taskCounts({ queued: total });
  const job: Job = {
    ...{ job: id, name, pool: "default", status: "queued", total, counts, createdAt, submittedBy },
    ...{ abort: "never", reasons: {}, lastEvent: 0 },
  };
  const tasks = new Map<string, Task>();
  for (const task of taskNames) {
    tasks.set(task, {
      job: id,
      task,
      status: "queued",
      slots: 1,
      attempt: 0,
      createdAt,
      attempts: [],
      pool: "default",
      env: {},
      timeoutMs: 1,
    });
  }

  function append(body: EventBody): void {
    job.lastEvent++;
    events.push({ v: 1, seq: job.lastEvent, jobId: id, at: new Date().toISOString(), ...body } as JobEvent);
    changes.emit("change");
  }
  function taskOf(name: string): Task {
    const task = tasks.get(name);
    if (!task) throw new Error(`the fake job has no task ${name}`);
    return task;
  }
  function endIfDone(): void {
    if (countEnded(counts) < total || isTerminalJobState(job.status)) return;
    const state = decideJobOutcome(counts, job.cancel?.cause === "user");
    job.status = state;
    job.endedAt = new Date().toISOString();
    append({ type: "job.ended", state, counts: { ...counts } });
  }

  append({ type: "job.submitted", name, pool: "default", tasks: total, submittedBy });
  return {
    id,
    job,
    tasks,
    events,
    changes,
    artifacts,
    files: new Map(),
    expired,
    live,
    lines: (task) => logs.get(task) ?? [],
    isLogComplete: (task) => isTerminalTaskState(taskOf(task).status),
    move: (name, to, move = {}) => {
      const task = taskOf(name);
      const from = task.status;
      const at = new Date().toISOString();
      applyMove(task, to, at, move);
      counts[from]--;
      counts[to]++;
      if (to === "running" && job.status === "queued") {
        job.status = "running";
        job.startedAt = at;
        append({ type: "job.started" });
      }
      append({ type: "task.transition", task: name, from, to, attempt: task.attempt, ...move, ...artifactsOf(task) });
      endIfDone();
    },
    log: (task, text, stream = "stdout") => {
      const lines = logs.get(task) ?? [];
      lines.push({ line: lines.length, step: 1, at: new Date().toISOString(), stream, text });
      logs.set(task, lines);
      changes.emit("change");
    },
    requestCancel: (detail) => {
      job.cancel = { cause: "user", detail, at: new Date().toISOString() };
      append({ type: "job.cancel_requested", cause: "user", detail });
    },
    retry: (names, by) => {
      append({ type: "job.retry_requested", by, count: names.length, tasks: [...names] });
      delete job.cancel;
      delete job.endedAt;
      for (const name of names) {
        const task = taskOf(name);
        const from = task.status;
        applyMove(task, "queued", new Date().toISOString(), {});
        delete task.endedAt;
        delete task.reason;
        counts[from]--;
        counts.queued++;
        job.status = "running";
        append({ type: "task.transition", task: name, from, to: "queued", attempt: task.attempt });
      }
    },
    addArtifact: (task, artifact) => {
      artifacts.set(task, [...(artifacts.get(task) ?? []), artifact]);
      taskOf(task).artifacts = (artifacts.get(task) ?? []).map(({ name: file, body }) => ({
        name: file,
        size: body.length,
      }));
    },
  };
}

function applyMove(task: Task, to: TaskState, at: string, move: FakeMove): void {
  task.status = to;
  const { workerId, ...outcome } = move;
  Object.assign(task, outcome);
  if (to === "running") {
    task.attempt++;
    task.workerId = workerId ?? "w-01hzy0000000000000000000000";
    task.startedAt = at;
    task.attempts.push({ attempt: task.attempt, workerId: task.workerId, claimedAt: at });
  }
  const attempt = task.attempts.at(-1);
  if (attempt && to !== "running") attempt.endedAt ??= at;
  if (!isTerminalTaskState(to)) return;
  task.endedAt = at;
  if (attempt) attempt.outcome = { state: to, ...outcome };
}

function artifactsOf(task: TaskSummary): Pick<TaskSummary, "artifacts"> {
  return task.artifacts === undefined ? {} : { artifacts: task.artifacts };
}

/** An artifact of these bytes with the sum that belongs to them. */
export function createFakeArtifact(name: string, body: Buffer): FakeArtifact {
  return { name, body, sha256: createHash("sha256").update(body).digest("hex") };
}

/** Ends each task of a job as told, `completed` where nothing is. */
export function endTasks(job: FakeJob, ends: Record<string, TaskState> = {}): void {
  for (const task of job.tasks.keys()) {
    const to = ends[task] ?? "completed";
    if (job.tasks.get(task)?.status === "queued") job.move(task, "running");
    const reason = { code: "exit_code", detail: `step-1 of ${task} exited with 7`, fault: "user" } as const;
    job.move(task, to, to === "completed" ? { exitCode: 0 } : { exitCode: 7, reason });
  }
}
