import { describe, expect, it } from "vitest";
import { listRetried, planRetry, type RetryableTask } from "./retry-plan.ts";
import { buildTaskGraph } from "./task-graph.ts";
import type { TaskState } from "./task-state.ts";

const graph = buildTaskGraph(
  new Map([
    ["b", ["a"]],
    ["c", ["b", "x"]],
    ["d", ["c"]],
  ]),
);

/** A plan by lines such as `a: failed, chosen` and `b: skipped, returns`. */
function plan(...lines: string[]) {
  const tasks = lines.map((line): [string, RetryableTask] => {
    const [name = "", rest = ""] = line.split(": ");
    const [state, ...marks] = rest.split(", ");
    return [name, { state: state as TaskState, chosen: marks.includes("chosen"), returns: marks.includes("returns") }];
  });
  return planRetry(graph, new Map(tasks));
}

describe("planRetry", () => {
  it("brings back what was skipped for a task before the task itself", () => {
    expect(
      plan("a: failed, chosen", "b: skipped, returns", "c: skipped, returns", "d: skipped, returns", "x: completed"),
    ).toEqual({
      rewait: [],
      restart: [
        { task: "b", waitingFor: ["a"] },
        { task: "c", waitingFor: ["b"] },
        { task: "d", waitingFor: ["c"] },
        { task: "a", waitingFor: [] },
      ],
      blocked: [],
    });
  });

  it("leaves alone what another failure keeps from running, and all behind it", () => {
    const { restart, blocked } = plan(
      "a: failed, chosen",
      "b: skipped, returns",
      "c: skipped, returns",
      "d: skipped, returns",
      "x: failed",
    );
    expect(restart.map(({ task }) => task)).toEqual(["b", "a"]);
    expect(blocked).toEqual([]);
  });

  it("lets a task wait for needs that are on their way", () => {
    const { restart } = plan(
      "a: failed, chosen",
      "b: skipped, returns",
      "c: skipped, returns",
      "d: aborted",
      "x: running",
    );
    expect(restart).toContainEqual({ task: "c", waitingFor: ["b", "x"] });
    expect(restart.map(({ task }) => task)).not.toContain("d");
  });

  it("lets waiting tasks wait again for a completed one, and those that ran stay", () => {
    expect(plan("a: completed, chosen", "b: completed", "c: pending", "d: pending", "x: running")).toEqual({
      rewait: [],
      restart: [{ task: "a", waitingFor: [] }],
      blocked: [],
    });
    expect(plan("b: completed, chosen", "a: completed", "c: pending", "d: pending", "x: running").rewait).toEqual([
      { task: "c", needs: ["b"] },
    ]);
  });

  it("says which chosen task cannot run, and why", () => {
    expect(plan("c: skipped, chosen", "b: failed", "x: completed", "d: skipped, returns")).toEqual({
      rewait: [],
      restart: [],
      blocked: [{ task: "c", need: "b" }],
    });
    expect(
      plan("c: skipped, chosen", "b: failed, chosen", "a: completed", "x: completed", "d: completed").blocked,
    ).toEqual([]);
  });

  it("comes to nothing once all is done", () => {
    expect(plan("a: queued", "b: pending", "c: pending", "d: pending", "x: completed")).toEqual({
      rewait: [],
      restart: [],
      blocked: [],
    });
  });
});

describe("listRetried", () => {
  it("names the tasks and all that wait for them through others", () => {
    expect([...listRetried(graph, ["x"])].sort()).toEqual(["c", "d", "x"]);
    expect([...listRetried(graph, ["a", "y"])].sort()).toEqual(["a", "b", "c", "d", "y"]);
  });

  it("takes a chain of 10,000 tasks", () => {
    const needs = new Map(Array.from({ length: 10_000 }, (_, index) => [`t${index + 1}`, [`t${index}`]]));
    const chain = buildTaskGraph(needs);
    const tasks = new Map(
      [...listRetried(chain, ["t0"])].map((name) => [
        name,
        { state: "skipped" as const, chosen: name === "t0", returns: true },
      ]),
    );
    expect(planRetry(chain, tasks).restart).toHaveLength(10_001);
  });
});
