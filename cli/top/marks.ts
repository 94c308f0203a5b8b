import type { JobState } from "../../shared/domain/job-state.ts";
import type { TaskMark } from "../../shared/domain/task-mark.ts";

/** Marks of tasks in one column each: the wide symbols of `markLooks` are drawn with another width by some terminals. */
export const marks: Readonly<Record<TaskMark, string>> = {
  completed: "✓",
  failures: "!",
  failed: "✗",
  timed_out: "◷",
  skipped: "»",
  aborted: "■",
  running: "▸",
  queued: "·",
  pending: "·",
};

/** Marks of jobs. */
export const jobMarks: Readonly<Record<JobState, string>> = {
  queued: "·",
  running: "▸",
  completed: "✓",
  failed: "✗",
  aborted: "■",
};
