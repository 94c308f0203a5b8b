import type { TaskGraph } from "./task-graph.ts";
import { isTerminalTaskState, type TaskState } from "./task-state.ts";

/** What a retry needs to know of a task. */
export interface RetryableTask {
  state: TaskState;
  /** It ended and is to run again. */
  chosen: boolean;
  /** It ended without having run, because of others: it waits again if what it needs runs again. */
  returns: boolean;
}

/** What a retry does, in the order in which it must be done. */
export interface RetryPlan {
  /** Waiting tasks, each with those of its needs that it must wait for again. */
  rewait: { task: string; needs: string[] }[];
  /** Ended tasks that begin again, each with the needs that it waits for; those that wait for none come last. */
  restart: { task: string; waitingFor: string[] }[];
  /** Chosen tasks that cannot run: one of their needs ended otherwise than completed, and does not begin again. */
  blocked: { task: string; need: string }[];
}

/** Tasks that a retry of some may touch: these, and all that wait for them directly or through others. */
export function listRetried(graph: TaskGraph, chosen: Iterable<string>): Set<string> {
  const reached = new Set(chosen);
  // A set is walked in the order of its growth, what is added on the way included.
  for (const task of reached) for (const dependant of graph.dependants.get(task) ?? []) reached.add(dependant);
  return reached;
}

/**
 * Plans a retry by the states as they are: pure, so that it can be made again after a crash or a race, and comes to
 * nothing once all is done. `tasks` holds all that `listRetried` names and the needs of each.
 */
export function planRetry(graph: TaskGraph, tasks: ReadonlyMap<string, RetryableTask>): RetryPlan {
  const chosen = [...tasks].flatMap(([name, task]) => (task.chosen ? [name] : []));
  const restarting = new Set<string>();
  const plan: RetryPlan = { rewait: [], restart: [], blocked: [] };
  for (const name of orderByNeeds(graph, listRetried(graph, chosen))) {
    const task = tasks.get(name);
    if (!task) continue;
    const needs = graph.needs.get(name) ?? [];
    if (isTerminalTaskState(task.state) && (task.chosen || task.returns)) {
      const blocker = needs.find((need) => !restarting.has(need) && isSpent(tasks.get(need)));
      if (blocker === undefined) {
        restarting.add(name);
        const waitingFor = needs.filter((need) => restarting.has(need) || tasks.get(need)?.state !== "completed");
        plan.restart.push({ task: name, waitingFor });
      } else if (task.chosen) plan.blocked.push({ task: name, need: blocker });
    } else if (task.state === "pending") {
      const again = needs.filter((need) => restarting.has(need));
      if (again.length > 0) plan.rewait.push({ task: name, needs: again });
    }
  }
  const waits = plan.restart.filter(({ waitingFor }) => waitingFor.length > 0);
  plan.restart = [...waits, ...plan.restart.filter(({ waitingFor }) => waitingFor.length === 0)];
  return plan;
}

/** It ended, and what needs it cannot run by that. */
function isSpent(task: RetryableTask | undefined): boolean {
  return task !== undefined && isTerminalTaskState(task.state) && task.state !== "completed";
}

/** Some tasks of a graph, each after all of them that it needs. */
function orderByNeeds(graph: TaskGraph, tasks: ReadonlySet<string>): string[] {
  const unmet = new Map<string, number>();
  for (const task of tasks) unmet.set(task, (graph.needs.get(task) ?? []).filter((need) => tasks.has(need)).length);
  const ordered = [...tasks].filter((task) => unmet.get(task) === 0);
  for (const task of ordered) {
    for (const dependant of graph.dependants.get(task) ?? []) {
      const left = (unmet.get(dependant) ?? 0) - 1;
      unmet.set(dependant, left);
      if (left === 0) ordered.push(dependant);
    }
  }
  return ordered;
}
