/**
 * States of a task.
 *
 * ```
 * pending ─► queued ─► running ─► completed | failed | skipped | timed_out | aborted
 *               ▲         │
 *               └─────────┘  the attempt was released, lost or is retried
 * pending ─► skipped | aborted                   (a need did not complete)
 * pending | queued ─► aborted | timed_out        (never claimed: cancelled, or by its job's timeout)
 * queued ─► failed                               (every attempt it may have was lost)
 * terminal ─► queued | pending                   (an explicit retry: a new attempt in the same job)
 * ```
 */
export const taskStates = [
  "pending",
  "queued",
  "running",
  "completed",
  "failed",
  "aborted",
  "skipped",
  "timed_out",
] as const;
export type TaskState = (typeof taskStates)[number];

/** States in which a task has ended; only an explicit retry leaves them. */
export const terminalTaskStates = ["completed", "failed", "aborted", "skipped", "timed_out"] as const;
export type TerminalTaskState = (typeof terminalTaskStates)[number];

const allowedFrom: Record<TaskState, readonly TaskState[]> = {
  pending: ["queued", "aborted", "skipped", "timed_out"],
  queued: ["running", "aborted", "failed", "timed_out"],
  running: ["queued", "completed", "failed", "aborted", "skipped", "timed_out"],
  completed: ["queued", "pending"],
  failed: ["queued", "pending"],
  aborted: ["queued", "pending"],
  skipped: ["queued", "pending"],
  timed_out: ["queued", "pending"],
};

/** Tells whether a task in this state has ended. */
export function isTerminalTaskState(state: TaskState): state is TerminalTaskState {
  return (terminalTaskStates as readonly TaskState[]).includes(state);
}

/** Tells whether the state machine has an edge from one state to the other. */
export function canTransition(from: TaskState, to: TaskState): boolean {
  return allowedFrom[from].includes(to);
}
