import { describe, expect, it } from "vitest";
import { decideJobOutcome, isTerminalJobState, jobStates } from "./job-state.ts";
import { countAll, countEnded, taskCounts } from "./task-counts.ts";
import { canTransition, isTerminalTaskState, taskStates, terminalTaskStates } from "./task-state.ts";

describe("the states of a task", () => {
  it("end in five of them, which only a retry leaves", () => {
    expect(taskStates.filter(isTerminalTaskState)).toEqual([...terminalTaskStates]);
    for (const state of terminalTaskStates) {
      expect(taskStates.filter((to) => canTransition(state, to))).toEqual(["pending", "queued"]);
    }
  });

  it("are all reached from pending", () => {
    const reached = new Set<string>(["pending"]);
    for (const from of taskStates) {
      for (const to of taskStates) if (reached.has(from) && canTransition(from, to)) reached.add(to);
    }
    expect(reached).toEqual(new Set(taskStates));
  });

  it("let nothing run that is not queued, nor complete that does not run", () => {
    expect(taskStates.filter((from) => canTransition(from, "running"))).toEqual(["queued"]);
    expect(taskStates.filter((from) => canTransition(from, "completed"))).toEqual(["running"]);
    expect(taskStates.filter((from) => canTransition(from, "pending"))).toEqual([...terminalTaskStates]);
  });
});

describe("counts", () => {
  it("have every state, at zero unless given", () => {
    expect(Object.keys(taskCounts())).toEqual([...taskStates]);
    expect(countAll(taskCounts())).toBe(0);
    expect(taskCounts({ queued: 3 }).queued).toBe(3);
  });

  it("tell all tasks from those that ended", () => {
    const counts = taskCounts({
      pending: 1,
      queued: 2,
      running: 3,
      completed: 4,
      failed: 5,
      aborted: 6,
      skipped: 7,
      timed_out: 8,
    });
    expect(countAll(counts)).toBe(36);
    expect(countEnded(counts)).toBe(30);
  });
});

describe("the states of a job", () => {
  it("end in three of them, which are its outcomes", () => {
    expect(jobStates.filter(isTerminalJobState)).toEqual(["completed", "failed", "aborted"]);
    expect(decideJobOutcome(taskCounts({ completed: 1 }), false)).toBe("completed");
  });
});
