import { describe, expect, it } from "vitest";
import { type CountableMove, type FoldableDigest, foldMoves, orderMoves } from "./fold.ts";
import type { ReasonCode } from "./reason.ts";
import { taskCounts } from "./task-counts.ts";

const at = "2026-01-05T08:00:00.000Z";

function digestOf(total: number, change: Partial<FoldableDigest> = {}): FoldableDigest {
  return { state: "queued", counts: taskCounts({ queued: total }), total, abort: "never", ...change };
}

function move(task: string, from: CountableMove["from"], to: CountableMove["to"], warning?: boolean): CountableMove {
  return { task, at, from, to, warning };
}

const kindsOf = (fold: ReturnType<typeof foldMoves>) => fold.effects.map((effect) => effect.kind);

describe("counting moves", () => {
  it("starts the job with its first running task and ends it with its last, in one go", () => {
    const fold = foldMoves(digestOf(2), [
      move("a", "queued", "running"),
      move("b", "queued", "running"),
      move("a", "running", "completed"),
      move("b", "running", "completed"),
    ]);
    expect(kindsOf(fold)).toEqual(["moved", "started", "moved", "moved", "moved", "ended"]);
    expect(fold.digest).toMatchObject({ state: "completed", startedAt: at, endedAt: at });
    expect(fold.digest.counts).toEqual(taskCounts({ completed: 2 }));
  });

  it("counts why attempts ended, also where they are tried again, but no task that never started for it", () => {
    const ended = (task: string, from: CountableMove["from"], to: CountableMove["to"], code: ReasonCode) => ({
      ...move(task, from, to),
      reason: { code },
    });
    const { digest } = foldMoves(digestOf(4), [
      move("a", "queued", "running"),
      ended("a", "running", "queued", "worker_lost"),
      move("a", "queued", "running"),
      ended("a", "running", "failed", "exit_code"),
      ended("b", "queued", "failed", "dead_lettered"),
      ended("c", "queued", "skipped", "dependency_failed"),
    ]);
    expect(digest.reasons).toEqual({ worker_lost: 1, exit_code: 1, dead_lettered: 1 });
    expect(foldMoves(digest, [ended("d", "queued", "aborted", "cancelled")]).digest.reasons).toEqual(digest.reasons);
  });

  it("leaves the digest it was given as it was", () => {
    const digest = digestOf(1);
    foldMoves(digest, [move("a", "queued", "aborted")]);
    expect(digest).toEqual(digestOf(1));
  });

  it("ends a job that never ran straight from queued", () => {
    const fold = foldMoves(digestOf(1, { cancel: { cause: "user" } }), [move("a", "queued", "aborted")]);
    expect(kindsOf(fold)).toEqual(["moved", "ended"]);
    expect(fold.digest).toMatchObject({ state: "aborted" });
    expect(fold.digest.startedAt).toBeUndefined();
  });

  it("opens an ended job again when one of its tasks is retried", () => {
    const ended = foldMoves(digestOf(1), [move("a", "queued", "running"), move("a", "running", "failed")]).digest;
    const again = foldMoves(ended, [move("a", "failed", "queued")]);
    expect(again.digest).toMatchObject({ state: "running" });
    expect(again.digest.endedAt).toBeUndefined();
    const done = foldMoves(again.digest, [move("a", "queued", "running"), move("a", "running", "completed")]);
    expect(done.digest.state).toBe("completed");
  });

  it("opens a job that never ran as one that waits, so that its start is told", () => {
    const ended = foldMoves(digestOf(1, { cancel: { cause: "user" } }), [move("a", "queued", "aborted")]).digest;
    const again = foldMoves({ ...ended, cancel: undefined }, [move("a", "aborted", "queued")]);
    expect(again.digest).toMatchObject({ state: "queued" });
    expect(kindsOf(foldMoves(again.digest, [move("a", "queued", "running")]))).toContain("started");
  });
});

describe("moves of several tasks", () => {
  const timed = (task: string, second: number, from: CountableMove["from"], to: CountableMove["to"]) => ({
    ...move(task, from, to),
    at: `2026-01-05T08:00:0${second}.000Z`,
  });

  it("are counted by time", () => {
    const ordered = orderMoves([
      [timed("a", 2, "queued", "running"), timed("a", 4, "running", "completed")],
      [timed("b", 1, "queued", "running"), timed("b", 3, "running", "completed")],
    ]);
    expect(ordered.map(({ task, to }) => `${task} ${to}`)).toEqual([
      "b running",
      "a running",
      "b completed",
      "a completed",
    ]);
  });

  it("keep each task's own order, also where the clocks of two writers disagree", () => {
    const moves = [timed("a", 5, "queued", "running"), timed("a", 3, "running", "completed")];
    const ordered = orderMoves([moves, [timed("b", 4, "queued", "aborted")]]);
    expect(ordered.filter(({ task }) => task === "a")).toEqual(moves);
    const fold = foldMoves(digestOf(2), ordered);
    expect(fold.digest.state).toBe("aborted");
    expect(kindsOf(fold).filter((kind) => kind === "ended")).toHaveLength(1);
  });
});

describe("the outcome of a job", () => {
  const run = (states: readonly CountableMove["to"][], change: Partial<FoldableDigest> = {}) =>
    foldMoves(
      digestOf(states.length, { state: "running", counts: taskCounts({ running: states.length }), ...change }),
      states.map((state, index) => move(`t${index}`, "running", state)),
    ).digest.state;

  it.each([
    [["completed", "completed"], "completed"],
    [["completed", "skipped"], "completed"],
    [["completed", "failed"], "failed"],
    [["completed", "timed_out"], "failed"],
    [["aborted", "failed"], "failed"],
    [["completed", "aborted"], "aborted"],
  ] as const)("of tasks that ended %j is %s", (states, outcome) => expect(run(states)).toBe(outcome));

  it("is aborted where a user cancelled it, whatever its tasks did", () => {
    expect(run(["completed", "failed"], { cancel: { cause: "user" } })).toBe("aborted");
  });

  it("is failed where it ended itself: by its abort policy or its timeout", () => {
    expect(run(["failed", "aborted"], { cancel: { cause: "abort_policy" } })).toBe("failed");
    expect(run(["timed_out", "completed"], { cancel: { cause: "job_timeout" } })).toBe("failed");
  });
});

describe("an abort policy", () => {
  const abortOf = (abort: FoldableDigest["abort"], ...moves: CountableMove[]) =>
    kindsOf(foldMoves(digestOf(5, { state: "running", abort }), moves)).includes("abort");
  const warned = move("a", "running", "failed", true);
  const failed = move("a", "running", "failed");
  const timedOut = move("a", "running", "timed_out");
  const skipped = move("a", "running", "skipped");

  it.each([
    ["never", warned, false],
    ["never", failed, false],
    ["on-failure", warned, true],
    ["on-failure", failed, false],
    ["on-failure", timedOut, false],
    ["on-error", warned, false],
    ["on-error", failed, true],
    ["on-error", timedOut, true],
    ["on-error", skipped, false],
    ["on-failure", skipped, false],
  ] as const)("%s, after %o: aborts %s", (policy, after, aborts) => expect(abortOf(policy, after)).toBe(aborts));

  it("acts once", () => {
    const digest = digestOf(5, { state: "running", abort: "on-error" });
    const fold = foldMoves(digest, [failed, move("b", "running", "failed")]);
    expect(kindsOf(fold).filter((kind) => kind === "abort")).toHaveLength(1);
  });

  it("does not act where the task that failed was the last to end: there is nothing left to abort", () => {
    const digest = digestOf(1, { state: "running", counts: taskCounts({ running: 1 }), abort: "on-error" });
    const fold = foldMoves(digest, [failed]);
    expect(kindsOf(fold)).toEqual(["moved", "ended"]);
    expect(fold.digest.cancel).toBeUndefined();
  });
});
