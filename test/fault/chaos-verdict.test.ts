import { describe, expect, it } from "vitest";
import type { JobEvent, TaskTransitionEvent } from "../../events/index.ts";
import type { Task } from "../../shared/api/schemas.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { JobRecord } from "../support/chaos/patient-api.ts";
import { type CheckName, judgeJob } from "../support/chaos/verdict.ts";
import type { PlannedJob } from "../support/chaos/workload.ts";

/** A run that only ever says "ok" proves nothing: each check is shown something it has to find. */
const jobId = "chaos-1-01arz3ndektsv4rrffq69g5fav";
const at = "2030-01-01T00:00:00.000Z";
const workerId = "w-01arz3ndektsv4rrffq69g5fav";

const plan: PlannedJob = {
  key: "k",
  spec: { name: "chaos-1", steps: [{ kind: "process", name: "work", entry: { run: "true" } }], tasks: [] },
  tasks: [
    { name: "good", exitCode: 0, lines: 0, outputBytes: 0, demanded: { state: "completed", exitCode: 0 } },
    { name: "bad", exitCode: 7, lines: 0, outputBytes: 0, demanded: { state: "failed", exitCode: 7, warning: false } },
  ],
};

function move(seq: number, task: string, from: Task["status"], to: Task["status"], attempt = 1): TaskTransitionEvent {
  return { v: 1, seq, jobId, at, type: "task.transition", task, from, to, attempt };
}

/** What the API says of a job in which a worker was lost once and all went well. */
function soundRecord() {
  const counts = { ...emptyCounts, completed: 1, failed: 1 };
  const common = { jobId, at, v: 1 as const };
  const task = { job: jobId, pool: "p", env: {}, timeoutMs: 1, slots: 1, createdAt: at, startedAt: at, endedAt: at };
  const lost = { attempt: 1, workerId, claimedAt: at, endedAt: at, outcome: { reason: reasonFor("worker_lost", "") } };
  const failure = { state: "failed" as const, exitCode: 7, warning: false, reason: reasonFor("exit_code", "7") };
  const tasks: Task[] = [
    {
      ...task,
      task: "good",
      status: "completed",
      attempt: 2,
      exitCode: 0,
      attempts: [lost, { ...lost, attempt: 2, outcome: { state: "completed", exitCode: 0 } }],
    },
    { ...task, task: "bad", status: "failed", attempt: 1, ...failure, attempts: [{ ...lost, outcome: failure }] },
  ];
  const events: JobEvent[] = [
    { ...common, seq: 1, type: "job.submitted", name: "chaos-1", pool: "default", tasks: 2, submittedBy: "x" },
    { ...common, seq: 2, type: "job.started" },
    move(3, "good", "queued", "running"),
    move(4, "bad", "queued", "running"),
    move(5, "good", "running", "queued"),
    move(6, "bad", "running", "failed"),
    move(7, "good", "queued", "running", 2),
    move(8, "good", "running", "completed", 2),
    { ...common, seq: 9, type: "job.ended", state: "failed", counts },
  ];
  const job: JobRecord["job"] = {
    job: jobId,
    name: "chaos-1",
    pool: "default",
    status: "failed",
    total: 2,
    counts,
    createdAt: at,
    submittedBy: "x",
    abort: "never",
    reasons: {},
    lastEvent: 9,
  };
  return { job, tasks, events } satisfies JobRecord;
}

const emptyCounts = {
  pending: 0,
  queued: 0,
  running: 0,
  completed: 0,
  failed: 0,
  aborted: 0,
  skipped: 0,
  timed_out: 0,
};

function findChecks(spoil: (record: JobRecord) => void): CheckName[] {
  const record: JobRecord = soundRecord();
  spoil(record);
  return [...new Set(judgeJob(plan, record).map(({ check }) => check))];
}

/** The task of that name; what is spoilt has to be there first. */
function taskOf(record: JobRecord, name: string): Task {
  const task = record.tasks.find((candidate) => candidate.task === name);
  if (!task) throw new Error(`there is no task ${name}`);
  return task;
}

describe("the verdict of a chaos run", () => {
  it("finds nothing wrong with a job in which a worker was lost and all went well", () => {
    expect(judgeJob(plan, soundRecord())).toEqual([]);
  });

  it("finds a task that is missing, and one whose outcome is not what its exit code demands", () => {
    expect(findChecks((record) => record.tasks.pop())).toContain("outcome");
    expect(findChecks((record) => Object.assign(taskOf(record, "bad"), { exitCode: 42 }))).toEqual(["outcome"]);
    const hanging = (record: JobRecord) => Object.assign(taskOf(record, "good"), { status: "running" });
    expect(findChecks(hanging)).toEqual(expect.arrayContaining(["outcome", "terminalEvent", "counts"]));
  });

  it("takes a task for given up only when infrastructure failed under it to the limit", () => {
    const reason = reasonFor("worker_lost", "silent");
    const giveUp = (total: number) => (record: JobRecord) => {
      const { exitCode: _, warning: __, ...task } = taskOf(record, "bad");
      const attempts = Array.from({ length: total }, (_, index) => {
        const outcome = index === total - 1 ? { state: "failed" as const, reason } : { reason };
        return { attempt: index + 1, workerId, claimedAt: at, endedAt: at, outcome };
      });
      record.tasks.splice(1, 1, { ...task, reason, attempt: total, attempts });
    };
    expect(findChecks(giveUp(2))).toContain("outcome");
    expect(findChecks(giveUp(5))).not.toContain("outcome");
  });

  it("finds a second terminal event, a missing one, and moves that do not follow each other", () => {
    const twice = (record: JobRecord) => record.events.splice(8, 0, move(9, "bad", "failed", "failed"));
    expect(findChecks(twice)).toContain("terminalEvent");
    expect(findChecks((record) => record.events.splice(5, 1))).toEqual(
      expect.arrayContaining(["terminalEvent", "sequence", "counts"]),
    );
    const skipping = (record: JobRecord) => record.events.splice(2, 1, move(3, "good", "pending", "running"));
    expect(findChecks(skipping)).toContain("terminalEvent");
  });

  it("finds attempts that are missing, open, or that ended a task which went on", () => {
    expect(findChecks((record) => taskOf(record, "good").attempts.shift())).toEqual(["attempts"]);
    const open = (record: JobRecord) => Object.assign(taskOf(record, "bad").attempts[0] ?? {}, { outcome: undefined });
    expect(findChecks(open)).toEqual(["attempts"]);
    const ended = (record: JobRecord) =>
      Object.assign(taskOf(record, "good").attempts[0] ?? {}, { outcome: { state: "completed", exitCode: 0 } });
    expect(findChecks(ended)).toEqual(["attempts"]);
  });

  it("finds a task that ran although one that it needs failed, and one that was not skipped for it", () => {
    const [good, bad] = plan.tasks;
    if (!good || !bad) throw new Error("the plan has two tasks");
    const graph: PlannedJob = { ...plan, tasks: [{ ...good, needs: ["bad"] }, bad] };
    const skip = (state: "skipped" | "aborted") => {
      const record: JobRecord = soundRecord();
      const { exitCode: _, ...task } = taskOf(record, "good");
      const reason = reasonFor("dependency_failed", "needs bad, which failed");
      record.tasks.splice(0, 1, { ...task, status: state, reason, attempt: 0, attempts: [] });
      record.events = record.events
        .filter((event) => event.type !== "task.transition" || event.task === "bad")
        .concat(move(9, "good", "pending", state, 0));
      return judgeJob(graph, record).filter(({ task }) => task === "good");
    };
    expect(judgeJob(graph, soundRecord()).map(({ check }) => check)).toContain("outcome");
    expect(skip("skipped")).toEqual([]);
    expect(skip("aborted").map(({ check }) => check)).toEqual(["outcome"]);
  });

  it("lets a failure be tried again only where the job says so, and only so often", () => {
    const failed = { state: "failed" as const, exitCode: 7, warning: false, reason: reasonFor("exit_code", "7") };
    const record: JobRecord = soundRecord();
    Object.assign(taskOf(record, "good").attempts[0] ?? {}, { outcome: failed });
    const withRetry = (attempts: number): PlannedJob => ({
      ...plan,
      spec: { ...plan.spec, retry: { attempts, on: ["exit_code"] } },
    });
    expect(judgeJob(withRetry(2), record)).toEqual([]);
    expect(judgeJob(withRetry(0), record).map(({ check }) => check)).toContain("attempts");
    expect(judgeJob(plan, record).map(({ check }) => check)).toEqual(["attempts"]);
  });

  it("lets a task that has ended run again only where that was asked for", () => {
    const record: JobRecord = soundRecord();
    const failed = { state: "failed" as const, exitCode: 7, warning: false, reason: reasonFor("exit_code", "7") };
    const bad = taskOf(record, "bad");
    bad.attempts.push({ attempt: 2, workerId, claimedAt: at, endedAt: at, outcome: failed });
    bad.attempt = 2;
    const ended = record.events.at(-1);
    if (ended?.type !== "job.ended") throw new Error("the job has ended");
    const retry = {
      type: "job.retry_requested" as const,
      by: "x",
      count: 1,
      tasks: ["bad"],
      jobId,
      at,
      v: 1 as const,
      seq: 10,
    };
    const again = [move(11, "bad", "failed", "queued"), move(12, "bad", "queued", "running", 2)];
    record.events.push(retry, ...again, move(13, "bad", "running", "failed", 2), { ...ended, seq: 14 });
    const judge = (task: string) => judgeJob({ ...plan, ending: { kind: "retry", task } }, record);
    expect(judge("bad")).toEqual([]);
    expect(judge("good").map(({ check }) => check)).toEqual(expect.arrayContaining(["terminalEvent", "attempts"]));
    expect(judgeJob(plan, record).map(({ check }) => check)).toEqual(expect.arrayContaining(["sequence", "attempts"]));
  });

  it("takes a task for cancelled only where it was", () => {
    const cancelled = (ending: PlannedJob["ending"]) => {
      const record: JobRecord = soundRecord();
      const { exitCode: _, ...task } = taskOf(record, "good");
      const reason = reasonFor("cancelled", "cancelled by local");
      record.tasks.splice(0, 1, { ...task, status: "aborted", reason });
      const findings = judgeJob({ ...plan, ...(ending ? { ending } : {}) }, record);
      return findings.filter(({ check }) => check === "outcome");
    };
    expect(cancelled(undefined)).toHaveLength(1);
    expect(cancelled({ kind: "cancel_task", task: "bad" })).toHaveLength(1);
    expect(cancelled({ kind: "cancel_task", task: "good" })).toEqual([]);
    expect(cancelled({ kind: "cancel_job" })).toEqual([]);
    expect(cancelled({ kind: "job_timeout" })).toHaveLength(1);
  });

  it("finds counts that are not those of the tasks", () => {
    const wrong = (record: JobRecord) => Object.assign(record.job, { counts: { ...record.job.counts, completed: 2 } });
    expect(findChecks(wrong)).toEqual(["counts"]);
    expect(findChecks((record) => Object.assign(record.job, { total: 3 }))).toEqual(["counts"]);
  });

  it("finds gaps in the events, and a job that ended twice or otherwise than its tasks demand", () => {
    const gap = (record: JobRecord) => Object.assign(record.events[4] ?? {}, { seq: 6 });
    expect(findChecks(gap)).toEqual(["sequence"]);
    const twice = (record: JobRecord) => record.events.push({ ...soundRecord().events[8], seq: 10 } as JobEvent);
    expect(findChecks(twice)).toEqual(["sequence"]);
    expect(findChecks((record) => Object.assign(record.job, { status: "completed" }))).toEqual(["jobs"]);
  });
});
