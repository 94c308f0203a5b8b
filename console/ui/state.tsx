import type { ReactNode } from "react";
import type { JobState } from "../../shared/domain/job-state.ts";
import type { TaskMark } from "../../shared/domain/task-mark.ts";

/** The states of jobs are among those of tasks, and look the same. */
export type Mark = TaskMark | JobState;

const labels: Readonly<Record<Mark, string>> = {
  pending: "pending",
  queued: "queued",
  running: "running",
  completed: "completed",
  failures: "failures",
  failed: "failed",
  timed_out: "timed out",
  skipped: "skipped",
  aborted: "aborted",
};

/** Each state has a shape of its own: colour is never all there is to tell it by. */
const shapes: Readonly<Record<Mark, ReactNode>> = {
  pending: <circle cx="8" cy="8" r="5.5" className="hollow" strokeDasharray="2.2 2.2" />,
  queued: <circle cx="8" cy="8" r="5.5" className="hollow" />,
  running: (
    <>
      <circle cx="8" cy="8" r="5.5" className="hollow faint" />
      <path d="M8 2.5a5.5 5.5 0 0 1 5.5 5.5" className="hollow turning" />
    </>
  ),
  completed: (
    <>
      <circle cx="8" cy="8" r="7" />
      <path d="M4.8 8.2l2.2 2.2 4.2-4.6" className="cut" />
    </>
  ),
  failures: (
    <>
      <path d="M8 1.2 15 14H1z" />
      <path d="M8 5.6v4M8 11.6v.6" className="cut" />
    </>
  ),
  failed: (
    <>
      <path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />
      <path d="M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8" className="cut" />
    </>
  ),
  timed_out: (
    <>
      <circle cx="8" cy="8" r="7" />
      <path d="M8 4.2V8l2.6 1.8" className="cut" />
    </>
  ),
  skipped: <path d="M2 3l5 5-5 5zM8 3l5 5-5 5z" />,
  aborted: (
    <>
      <rect x="1.5" y="1.5" width="13" height="13" rx="2.5" />
      <path d="M5 8h6" className="cut" />
    </>
  ),
};

/** The shape of a state; the word for it stands beside it. */
export function StateIcon({ mark }: { mark: Mark }) {
  return (
    <svg className={`state-icon state-${mark}`} viewBox="0 0 16 16" width="15" height="15" aria-hidden="true">
      {shapes[mark]}
    </svg>
  );
}

/** A state as shape and word. */
export function StatePill({ mark }: { mark: Mark }) {
  return (
    <span className={`state-pill state-${mark}`}>
      <StateIcon mark={mark} />
      {labels[mark]}
    </span>
  );
}

/** The word for a state. */
export function nameMark(mark: Mark): string {
  return labels[mark];
}
