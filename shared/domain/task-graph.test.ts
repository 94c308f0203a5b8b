import { describe, expect, it } from "vitest";
import { findGraphProblems } from "./task-graph.ts";

/** A graph by lines such as `c: a b`. */
function find(...lines: string[]) {
  return findGraphProblems(
    lines.map((line) => {
      const [name = "", needs = ""] = line.split(":").map((part) => part.trim());
      return { name, needs: needs.split(" ").filter(Boolean) };
    }),
  );
}

describe("findGraphProblems", () => {
  it("finds nothing wrong with tasks that can all start in some order", () => {
    expect(find("a:", "b: a", "c: a", "d: b c")).toEqual([]);
    expect(find("d: b c", "c: a", "b: a", "a:")).toEqual([]);
    expect(find()).toEqual([]);
  });

  it("finds needs that name no task, the task itself, or one task twice, in the order of the file", () => {
    expect(find("a: a b b", "b: c")).toEqual([
      { taskIndex: 0, needIndex: 0, kind: "self", task: "a" },
      { taskIndex: 0, needIndex: 2, kind: "repeated", need: "b", firstIndex: 1 },
      { taskIndex: 1, needIndex: 0, kind: "unknown", need: "c" },
    ]);
  });

  it("names each circle once, from its first task on, and not what only waits for it", () => {
    expect(find("z: b", "a: c", "b: a", "c: x b", "x:", "p: q", "q: p")).toEqual([
      { taskIndex: 1, needIndex: 0, kind: "cycle", circle: ["a", "c", "b"] },
      { taskIndex: 5, needIndex: 0, kind: "cycle", circle: ["p", "q"] },
    ]);
  });

  it("looks past names that are given twice and values that are no names", () => {
    expect(find("a:", "b: a", "a: b")).toEqual([]);
    expect(findGraphProblems([{ name: undefined, needs: [undefined] }])).toEqual([]);
  });

  it("takes a chain and a circle of 10,000 tasks", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `t${index}`);
    const chain = names.map((name, index) => ({ name, needs: index === 0 ? [] : [`t${index - 1}`] }));
    expect(findGraphProblems(chain)).toEqual([]);
    const circle = names.map((name, index) => ({ name, needs: [names.at(index - 1)] }));
    expect(findGraphProblems(circle)).toMatchObject([{ kind: "cycle", circle: { length: 10_000 } }]);
  });

  it("takes tasks that need a thousand others each", () => {
    const names = Array.from({ length: 1_400 }, (_, index) => `t${index}`);
    const wide = names.map((name, index) => ({ name, needs: index < 1_000 ? [] : names.slice(0, 1_000) }));
    expect(findGraphProblems(wide)).toEqual([]);
  });
});
