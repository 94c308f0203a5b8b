import type { TaskState } from "./task-state.ts";

/**
 * The kinds of a task's state that users tell apart: its state, and "failures" (exit 42), which is `failed` shown as
 * a warning.
 */
export type TaskMark = TaskState | "failures";

/** The mark of a task. */
export function markTask(status: TaskState, warning: boolean | undefined): TaskMark {
  return status === "failed" && warning === true ? "failures" : status;
}
