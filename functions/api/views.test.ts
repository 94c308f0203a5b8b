import { describe, expect, it } from "vitest";
import { jobSchema, taskSchema, taskSummarySchema } from "../../shared/api/schemas.ts";
import { taskCounts } from "../../shared/domain/task-counts.ts";
import { timing } from "../../shared/domain/timing.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import { briefTask, summarizeTask, viewJob, viewTask, viewWorker } from "./views.ts";

const at = "2026-01-05T08:00:00.000Z";

const digest: JobDigest = {
  jobId: "j",
  name: "n",
  pool: "default",
  state: "queued",
  counts: taskCounts({ queued: 1 }),
  total: 1,
  bucketCount: 1,
  seq: 1,
  abort: "never",
  submittedBy: "ann",
  createdAt: at,
  dispatchPending: true,
  check: { at, seq: 1, afterMs: 1 },
};

const task: TaskItem = {
  jobId: "j",
  task: "t",
  bucket: 0,
  pool: "default",
  slots: 1,
  timeoutMs: 1000,
  env: { SIZE: "x" },
  state: "queued",
  rev: 1,
  foldedRev: 1,
  attempt: 0,
  attempts: [],
  infrastructureFailures: 0,
  createdAt: at,
};

/** Keys that the API's schema has: what a view shows beyond them would go out unannounced. */
const keysOf = (schema: { shape: object }) => Object.keys(schema.shape);

describe("a task in brief", () => {
  it("tells no more of a long reason than a page of ten thousand can hold", () => {
    const outcome = (detail: string) =>
      ({ state: "failed", reason: { code: "internal", detail, fault: "user" } }) as const;
    expect(briefTask({ ...task, outcome: outcome("x".repeat(200)) }).reason?.detail).toBe("x".repeat(200));
    expect(briefTask({ ...task, outcome: outcome("x".repeat(201)) }).reason?.detail).toBe(`${"x".repeat(199)}…`);
  });
});

describe("the view of a job", () => {
  it("shows what the API announces, and nothing of what the control plane keeps for itself", () => {
    const full: JobDigest = {
      ...digest,
      state: "aborted",
      startedAt: at,
      endedAt: at,
      cancel: { cause: "user", detail: "d", at },
      reasons: { exit_code: 1 },
      timeoutAt: at,
    };
    expect(jobSchema.parse(viewJob(full))).toEqual(viewJob(full));
    expect(Object.keys(viewJob(full)).sort()).toEqual(keysOf(jobSchema).sort());
    expect(jobSchema.parse(viewJob(digest))).toEqual(viewJob(digest));
  });
});

describe("the view of a task", () => {
  const stored = { key: "jobs/secret", size: 3, sha256: "0" };
  const content = { members: 2, files: 1, bytes: 9 };
  const artifact = { ...stored, name: "t.tar.zst", content, list: { ...stored, members: 2 } };
  const footprint = {
    sampledMs: 5_000,
    cpuAvg: 12.5,
    cpuMax: 80,
    memoryMax: 1e6,
    readBytes: 0,
    writtenBytes: 10,
    receivedBytes: 0,
    sentBytes: 0,
    oomKills: 0,
  };
  const ended: TaskItem = {
    ...task,
    state: "failed",
    attempt: 2,
    startedAt: at,
    endedAt: at,
    outcome: {
      state: "failed",
      exitCode: 42,
      warning: true,
      reason: { code: "exit_code", detail: "d", fault: "user" },
    },
    cancel: { cause: "user", detail: "d", at },
    attempts: [
      { workerId: "w1", leaseToken: "secret", claimedAt: at, endedAt: at, outcome: {} },
      {
        workerId: "w2",
        leaseToken: "secret",
        claimedAt: at,
        endedAt: at,
        outcome: { state: "failed", exitCode: 42 },
        steps: [],
        logs: [],
        artifacts: [artifact],
        waitedMs: 5,
        footprint,
      },
    ],
    lease: { token: "secret", workerId: "w2", untilMs: 1, timeoutMs: 1 },
    waitingFor: new Set(["b", "a"]),
  };

  it("shows what the API announces", () => {
    const shown = viewTask(ended, ["a", "b"]);
    expect(taskSchema.parse(shown)).toEqual(shown);
    expect(Object.keys(shown).sort()).toEqual(keysOf(taskSchema).sort());
    const listed = { name: "t.tar.zst", size: 3, sha256: "0", content, listed: 2 };
    expect(shown).toMatchObject({ env: { SIZE: "x" }, needs: ["a", "b"], attempts: [{}, { artifacts: [listed] }] });
    expect(taskSummarySchema.parse(summarizeTask(ended))).toEqual(summarizeTask(ended));
    expect(taskSchema.parse(viewTask(task))).toEqual(viewTask(task));
  });

  it("shows what it waits for: all of it, in a list only the first", () => {
    const waits: TaskItem = {
      ...task,
      state: "pending",
      waitingFor: new Set(Array.from({ length: 30 }, (_, n) => `t${n}`)),
    };
    expect(viewTask(waits)).toMatchObject({ waitingFor: { length: 30 }, waitingForCount: 30 });
    expect(summarizeTask(waits)).toMatchObject({ waitingFor: { length: 10 }, waitingForCount: 30 });
  });

  it("shows no lease token and no key of the bucket", () => {
    expect(JSON.stringify(viewTask(ended))).not.toContain("secret");
  });

  it("in a list shows the newest attempt", () => {
    expect(summarizeTask(ended)).toMatchObject({
      attempt: 2,
      workerId: "w2",
      artifacts: [{ name: "t.tar.zst", size: 3 }],
    });
    expect(summarizeTask(task)).not.toHaveProperty("workerId");
  });
});

describe("the view of a worker", () => {
  it("shows what the API announces", () => {
    const worker: WorkerItem = {
      moves: 1,
      workerId: `w-${"0".repeat(26)}`,
      pool: "default",
      slots: 2,
      provider: "local",
      host: "h",
      version: "1",
      processSteps: true,
      state: "alive",
      slotsFree: 1,
      held: 1,
      startedAt: at,
      lastSeenMs: Date.parse(at),
    };
    const seenMs = worker.lastSeenMs;
    expect(viewWorker(worker, seenMs)).toMatchObject({ state: "alive", lastSeenAt: at });
    expect(viewWorker(worker, seenMs)).not.toHaveProperty("moves");
    // Also before anybody has written it down.
    expect(viewWorker(worker, seenMs + timing.workerSilentMs + 1).state).toBe("lost");
  });
});
