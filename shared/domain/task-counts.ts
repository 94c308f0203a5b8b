import { type TaskState, taskStates, terminalTaskStates } from "./task-state.ts";

/** Number of tasks of a job by state. */
export type TaskCounts = Record<TaskState, number>;

/** Counts with every state at zero but those given. */
export function taskCounts(initial: Partial<TaskCounts> = {}): TaskCounts {
  const counts = Object.fromEntries(taskStates.map((state) => [state, 0])) as TaskCounts;
  return Object.assign(counts, initial);
}

/** Number of tasks that have ended. */
export function countEnded(counts: TaskCounts): number {
  return terminalTaskStates.reduce((sum, state) => sum + counts[state], 0);
}

/** Number of tasks in any state. */
export function countAll(counts: TaskCounts): number {
  return taskStates.reduce((sum, state) => sum + counts[state], 0);
}
