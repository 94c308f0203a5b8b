import { describe, expect, it } from "vitest";
import { reasonFor } from "./reason.ts";
import { timing } from "./timing.ts";
import { type EndedEvidence, explainTask, type RunningEvidence, type WaitingEvidence, type WhyWorker } from "./why.ts";
import { whyCodes, whyFactSchema } from "./why-facts.ts";

const nowMs = Date.UTC(2026, 0, 5, 8);
const secondsAgo = (seconds: number) => nowMs - seconds * 1000;
const isoAgo = (seconds: number) => new Date(secondsAgo(seconds)).toISOString();

function worker(change: Partial<WhyWorker> = {}): WhyWorker {
  const base = { workerId: "w-1", state: "alive", drainRequested: false, slots: 4, slotsFree: 0 } as const;
  return { ...base, lastSeenMs: secondsAgo(1), ...change };
}

/** A task of one slot that waits in a pool of one full worker, behind nothing. */
function waiting(change: Partial<WaitingEvidence> = {}, workers: readonly WhyWorker[] = [worker()]): WaitingEvidence {
  return {
    phase: "waiting",
    nowMs,
    task: "unit",
    cancel: undefined,
    attempts: [],
    slots: 1,
    sinceMs: secondsAgo(30),
    needs: undefined,
    retryAtMs: 0,
    pool: { pool: "default", workers, more: false, lastSeenMs: workers.at(-1)?.lastSeenMs },
    queue: { tasksBefore: 0, jobsBefore: 0, more: false, sameJob: 0 },
    message: { sent: true, againAtMs: nowMs + 3600_000 },
    ...change,
  };
}

const lostAttempt = {
  attempt: 1,
  workerId: "w-0",
  claimedAt: isoAgo(90),
  endedAt: isoAgo(20),
  reason: reasonFor("image_unavailable", "the registry is away"),
};

describe("why a task waits", () => {
  it("is the pool without a worker that was heard of in time, and when the last was", () => {
    const silent = worker({ lastSeenMs: nowMs - timing.workerSilentMs - 1 });
    expect(explainTask(waiting({}, [silent]))).toMatchObject({
      code: "no_workers",
      summary: "unit waits for a worker: pool default has none, the last was seen 15 s ago; start one",
      facts: expect.arrayContaining([expect.objectContaining({ kind: "pool", workers: 0 })]),
    });
    expect(explainTask(waiting({}, [])).summary).toContain("none was ever seen");
    expect(explainTask(waiting({}, [worker({ lastSeenMs: nowMs - timing.workerSilentMs })])).code).toBe(
      "no_free_slots",
    );
  });

  it("is a worker whose machine is not well, as long as no other has a slot free", () => {
    const unwell = worker({ health: { state: "recovering", detail: "Docker hangs" } });
    const { code, summary } = explainTask(waiting({}, [unwell, worker({ health: { state: "healthy" } })]));
    expect(code).toBe("no_free_slots");
    expect(summary).toContain("w-1 takes no tasks, for its machine is not well (Docker hangs)");
    expect(explainTask(waiting({}, [unwell, worker({ slotsFree: 1 })])).code).toBe("about_to_start");
  });

  it("is workers that all drain, whether they know it yet or not", () => {
    const draining = [worker({ state: "draining", slotsFree: 4 }), worker({ drainRequested: true, slotsFree: 4 })];
    expect(explainTask(waiting({}, draining))).toMatchObject({
      code: "all_draining",
      summary: expect.stringContaining("all 2 of pool default drain"),
    });
    expect(explainTask(waiting({}, [...draining, worker({ slotsFree: 1 })])).code).toBe("about_to_start");
  });

  it("is a task that no worker is large enough for, those that drain left aside", () => {
    const workers = [worker({ slots: 4 }), worker({ slots: 16, state: "draining" })];
    const { code, summary } = explainTask(waiting({ slots: 8 }, workers));
    expect(code).toBe("larger_than_any_worker");
    expect(summary).toContain("it needs 8 slots, the largest of pool default has 4");
  });

  it("is slots that are used, with what waits before it", () => {
    const queue = { tasksBefore: 12, jobsBefore: 3, more: false, sameJob: 1 };
    expect(explainTask(waiting({ queue })).summary).toBe(
      "unit waits for a free slot in pool default: all 4 are used, 12 tasks of 3 earlier jobs wait too, and 1 other task of its own job",
    );
    const many = explainTask(waiting({ queue: { ...queue, more: true } }));
    expect(many.summary).toContain("more than 12 tasks of more than 3 earlier jobs");
    expect(many.facts).toContainEqual({ kind: "queue", ...queue, more: true });
  });

  it("is slots that are free on several workers, but not enough on one", () => {
    const { code, summary } = explainTask(waiting({ slots: 2 }, [worker({ slotsFree: 1 }), worker({ slotsFree: 1 })]));
    expect(code).toBe("no_free_slots");
    expect(summary).toContain("2 free slots of one worker in pool default: 6 of 8 are used");
  });

  it("is nothing much where slots are free: it is about to start", () => {
    const free = [worker({ slotsFree: 1 })];
    expect(explainTask(waiting({ sinceMs: secondsAgo(1) }, free))).toMatchObject({
      code: "about_to_start",
      summary: "unit is about to start: pool default has slots free for it",
    });
    const late = explainTask(waiting({ sinceMs: secondsAgo(300) }, free));
    expect(late.summary).toMatch(/it has waited 5 min, it is announced again in 60 min should it still wait then$/);
  });

  it("is a message that is not known to be sent, once it should have been", () => {
    const free = [worker({ slotsFree: 1 })];
    const message = { sent: false, againAtMs: nowMs + 40_000 };
    expect(explainTask(waiting({ message, sinceMs: secondsAgo(1) }, free)).code).toBe("about_to_start");
    const late = explainTask(waiting({ message, sinceMs: secondsAgo(20) }, free));
    expect(late).toMatchObject({ code: "not_announced", summary: expect.stringContaining("announced again in 40 s") });
    const due = { sent: false, againAtMs: nowMs - 1 };
    expect(explainTask(waiting({ message: due }, free)).summary).toContain("at the next sweep, within a minute");
  });

  it("is the pause after an attempt that infrastructure ended", () => {
    const evidence = waiting({ retryAtMs: nowMs + 8_000, attempts: [lostAttempt] });
    const { code, summary, facts } = explainTask(evidence);
    expect({ code, summary }).toEqual({
      code: "retry_backoff",
      summary: "unit is tried again in 8 s after image unavailable: attempt 2",
    });
    expect(facts).toContainEqual({ kind: "attempt", ...lostAttempt });
    expect(explainTask({ ...evidence, retryAtMs: nowMs }).code).toBe("no_free_slots");
  });

  it("is the tasks it needs, before anything about the pool", () => {
    const first = ["a", "b", "c", "d"].map((task) => ({ task, status: "running" as const }));
    const { code, summary, facts } = explainTask(waiting({ needs: { unmet: 70, first } }, []));
    expect({ code, summary }).toEqual({
      code: "needs",
      summary: "unit waits for a (running), b (running), c (running) and 67 other tasks",
    });
    expect(facts.slice(0, 2)).toEqual([
      { kind: "needs", unmet: 70 },
      { kind: "need", task: "a", status: "running" },
    ]);
  });

  it("is a task it needs that ended without completing, or that all have completed just now", () => {
    const first = [
      { task: "a", status: "running" as const },
      { task: "b", status: "timed_out" as const },
    ];
    const summaryOf = (needs: WaitingEvidence["needs"]) => explainTask(waiting({ needs })).summary;
    expect(summaryOf({ unmet: 2, first })).toBe("unit will not start: it needs b (timed out)");
    expect(summaryOf({ unmet: 0, first: [] })).toBe("unit is about to be queued: all that it needs has completed");
  });

  it("is its end where that was asked for", () => {
    const cancel = { cause: "user" as const, detail: "cancelled by ann", at: isoAgo(3) };
    const needs = { unmet: 1, first: [{ task: "a", status: "running" as const }] };
    const { code, summary, facts } = explainTask(waiting({ cancel, needs, retryAtMs: nowMs + 1000 }));
    expect({ code, summary }).toEqual({ code: "cancelling", summary: "unit is being ended: cancelled by ann" });
    expect(facts[0]).toEqual({ kind: "cancel", ...cancel });
  });

  it("is its job that is still being written down", () => {
    const common = { nowMs, task: "unit", attempts: [], cancel: undefined };
    const expansion = { written: 99, total: 10_000 };
    expect(explainTask({ ...common, phase: "unwritten", expansion })).toMatchObject({
      code: "being_written",
      summary: expect.stringContaining("99 of the job's 10000 tasks are written"),
    });
  });

  it("is not guessed where there are more workers than were looked at", () => {
    const pool = { pool: "default", workers: [], more: true, lastSeenMs: undefined };
    expect(explainTask(waiting({ pool, slots: 64 })).code).toBe("no_free_slots");
  });
});

function running(change: Partial<RunningEvidence> = {}, renewedSecondsAgo = 2): RunningEvidence {
  const untilMs = secondsAgo(renewedSecondsAgo) + timing.leaseMs;
  return {
    phase: "running",
    nowMs,
    task: "unit",
    cancel: undefined,
    attempts: [{ attempt: 1, workerId: "w-1", claimedAt: isoAgo(34) }],
    lease: { attempt: 1, workerId: "w-1", claimedAtMs: secondsAgo(34), untilMs },
    worker: { workerId: "w-1", host: "here", state: "alive", lastSeenAt: isoAgo(1) },
    step: { step: 2, name: "test", steps: 3 },
    ...change,
  };
}

describe("where a task runs", () => {
  it("is told with its worker, its step and since when", () => {
    const { code, summary } = explainTask(running());
    expect({ code, summary }).toEqual({
      code: "running",
      summary: "unit runs on worker w-1 (here) since 34 s, in step 2 of 3 (test)",
    });
    const unknown = explainTask(running({ worker: undefined, step: undefined }));
    expect(unknown.summary).toBe("unit runs on worker w-1 since 34 s");
    expect(unknown.facts).toContainEqual({ kind: "worker", workerId: "w-1" });
  });

  it("is a silent worker, and what becomes of the task then", () => {
    expect(explainTask(running({}, 18))).toMatchObject({
      code: "worker_silent",
      summary:
        "worker w-1 (here) holds unit but was last heard of 18 s ago; if it stays so for 12 s, another worker gets the task",
    });
    expect(explainTask(running({}, 45)).summary).toContain(
      "its lease has run out: another worker gets the task within a minute",
    );
    const cancel = { cause: "user" as const, detail: "cancelled by ann", at: isoAgo(20) };
    expect(explainTask(running({ cancel }, 45)).summary).toContain("its lease has run out: the task ends");
  });

  it("is a task that is being ended", () => {
    const cancel = { cause: "job_timeout" as const, detail: "the job's timeout has passed", at: isoAgo(3) };
    expect(explainTask(running({ cancel }))).toMatchObject({
      code: "being_cancelled",
      summary: "unit is being ended on worker w-1 (here): the job's timeout has passed",
    });
  });
});

function ended(change: Partial<EndedEvidence>): EndedEvidence {
  const common = { nowMs, task: "unit", cancel: undefined, attempts: [], step: undefined, log: undefined };
  return { ...common, phase: "ended", status: "completed", reason: undefined, ...change };
}

describe("why a task ended so", () => {
  it("is its reason, with the step, the end of its log and its attempts", () => {
    const reason = reasonFor("exit_code", "test exited with 7");
    const log = { attempt: 2, lines: [{ step: 2, at: isoAgo(9), stream: "stderr" as const, text: "boom" }] };
    const attempts = [lostAttempt, { ...lostAttempt, attempt: 2, status: "failed" as const, exitCode: 7, reason }];
    const step = { step: 2, name: "test", steps: 3, exitCode: 7 };
    const { code, summary, facts } = explainTask(ended({ status: "failed", reason, log, attempts, step }));
    expect({ code, summary }).toEqual({ code: "failed", summary: "unit failed at attempt 2: test exited with 7" });
    expect(facts.map(({ kind }) => kind)).toEqual(["reason", "step", "log", "attempt", "attempt"]);
  });

  it("blames the infrastructure where that is to blame", () => {
    const reason = reasonFor("worker_lost", "worker w-1 stopped renewing its lease");
    expect(explainTask(ended({ status: "failed", reason, attempts: [lostAttempt] })).summary).toBe(
      "unit failed: worker w-1 stopped renewing its lease; the fault is the infrastructure's, not the task's",
    );
  });

  it("is told of each way to end, also before it began", () => {
    const reason = reasonFor("cancelled", "cancelled by ann");
    expect(explainTask(ended({ attempts: [lostAttempt] })).summary).toBe("unit completed");
    const step = { step: 1, name: "build", steps: 2, exitCode: 0, outOfMemory: true };
    expect(explainTask(ended({ attempts: [lostAttempt], step }))).toMatchObject({
      summary: "unit completed, though the kernel killed a process of step 1 (build) for lack of memory",
      facts: [{ kind: "step" }, { kind: "attempt" }],
    });
    expect(explainTask(ended({ status: "aborted", reason })).summary).toBe(
      "unit was aborted before it started: cancelled by ann",
    );
    for (const status of ["completed", "failed", "aborted", "skipped", "timed_out"] as const) {
      expect(explainTask(ended({ status, attempts: [lostAttempt] })).code).toBe(status);
    }
  });
});

describe("every answer", () => {
  it("has a known code and facts that the API's schema takes", () => {
    const answers = [waiting(), waiting({ attempts: [lostAttempt] }), running(), running({}, 20), ended({})].map(
      explainTask,
    );
    for (const { code, facts } of answers) {
      expect(whyCodes).toContain(code);
      for (const fact of facts) expect(whyFactSchema.parse(fact)).toEqual(fact);
    }
  });
});
