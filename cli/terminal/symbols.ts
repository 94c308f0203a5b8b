import type { JobState } from "../../shared/domain/job-state.ts";
import type { TaskMark } from "../../shared/domain/task-mark.ts";
import type { StyleName } from "./style.ts";

/** How a mark is drawn: a symbol of two columns, the word for it, its colour. */
export interface MarkLook {
  symbol: string;
  label: string;
  color: StyleName;
}

/** Looks of all marks, in the order in which they are listed. Symbols take two columns, padded where they are narrow. */
export const markLooks: Readonly<Record<TaskMark, MarkLook>> = {
  completed: { symbol: "✅", label: "completed", color: "green" },
  failures: { symbol: "⚠️", label: "with failures", color: "yellow" },
  failed: { symbol: "❌", label: "failed", color: "red" },
  timed_out: { symbol: "⏱️", label: "timed out", color: "red" },
  skipped: { symbol: "⏭️", label: "skipped", color: "blue" },
  aborted: { symbol: "⏹️", label: "aborted", color: "magenta" },
  running: { symbol: "▶ ", label: "running", color: "cyan" },
  queued: { symbol: "· ", label: "queued", color: "dim" },
  pending: { symbol: "· ", label: "pending", color: "dim" },
};

/** All marks in the order of `markLooks`. */
export const taskMarks = Object.keys(markLooks) as TaskMark[];

/** Colours of the states of a job. */
export const jobColors: Readonly<Record<JobState, StyleName>> = {
  queued: "dim",
  running: "cyan",
  completed: "green",
  failed: "red",
  aborted: "magenta",
};
