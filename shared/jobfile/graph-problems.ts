import { findGraphProblems, type GraphProblem, type GraphTask } from "../domain/task-graph.ts";
import { clipText } from "./problem.ts";
import { suggestNearest } from "./suggest.ts";

/** Names of a circle that a message lists at most. */
const listedNames = 12;
/** Comparisons of letters that suggestions may cost in all; a job may be full of unknown names. */
const suggestionBudget = 50_000_000;

/** What is wrong with one need of one task, in a user's words; positions from 0. */
export interface NeedProblem {
  taskIndex: number;
  needIndex: number;
  kind: GraphProblem["kind"];
  message: string;
}

/** Everything that is wrong with the needs of a job's tasks. */
export function describeGraphProblems(tasks: readonly GraphTask[]): NeedProblem[] {
  const names = tasks.flatMap(({ name }) => name ?? []);
  const letters = names.reduce((sum, { length }) => sum + length, 0);
  let budget = suggestionBudget;
  return findGraphProblems(tasks).map((problem) => {
    const { taskIndex, needIndex, kind } = problem;
    if (problem.kind === "unknown") budget -= letters * problem.need.length;
    return { taskIndex, needIndex, kind, message: describe(problem, budget > 0 ? names : []) };
  });
}

function describe(problem: GraphProblem, names: readonly string[]): string {
  switch (problem.kind) {
    case "unknown": {
      const nearest = suggestNearest(problem.need, names);
      const help = nearest === undefined ? "name a task of this job" : `did you mean '${nearest}'?`;
      return `there is no task '${clipText(problem.need)}'; ${help}`;
    }
    case "self":
      return `task '${clipText(problem.task)}' needs itself; remove it`;
    case "repeated":
      return `'${clipText(problem.need)}' is listed already; remove it`;
    case "cycle":
      return `these tasks need each other, so none of them could ever start: ${describeCircle(problem.circle)}`;
  }
}

function describeCircle(circle: readonly string[]): string {
  const [first = ""] = circle;
  const listed = circle.slice(0, listedNames).map((name) => clipText(name));
  const hidden = circle.length - listed.length;
  return [...listed, ...(hidden > 0 ? [`… ${hidden} more …`] : []), clipText(first)].join(" → ");
}
