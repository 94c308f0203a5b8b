import type { TaskTransitionEvent } from "../../../events/index.ts";
import type { AttemptTimes } from "../../../shared/api/schemas.ts";
import type { ReasonCode } from "../../../shared/domain/reason.ts";
import { markTask, type TaskMark } from "../../../shared/domain/task-mark.ts";
import { isTerminalTaskState } from "../../../shared/domain/task-state.ts";

/** One attempt on the timeline. Times are milliseconds since the epoch of the control plane's clock. */
export interface Bar {
  task: string;
  attempt: number;
  workerId: string;
  /** When its worker took it. */
  startMs: number;
  endMs: number | undefined;
  waitedMs: number | undefined;
  /** Until its first step began, and how long its steps took; known once it has ended. */
  leaseMs: number | undefined;
  runMs: number | undefined;
  /** `queued`: it was given back unspent. */
  mark: TaskMark;
  reason: ReasonCode | undefined;
}

/** What an attempt that is given back without fault of its task's is shown as. */
const unspent: ReadonlySet<ReasonCode | undefined> = new Set<ReasonCode | undefined>([
  undefined,
  "drained",
  "spot_interrupted",
]);

/** An attempt as the API lists it. */
export function toBar(times: AttemptTimes): Bar {
  const startMs = Date.parse(times.claimedAt);
  const { task, attempt, workerId, waitedMs, leaseMs, runMs, totalMs, state, warning, reason } = times;
  const endMs = totalMs === undefined ? undefined : startMs + totalMs;
  return {
    task,
    attempt,
    workerId,
    startMs,
    endMs,
    waitedMs,
    leaseMs,
    runMs,
    mark: state ? markTask(state, warning) : endMs === undefined ? "running" : markGivenBack(reason),
    reason,
  };
}

function markGivenBack(reason: ReasonCode | undefined): TaskMark {
  return unspent.has(reason) ? "queued" : "failed";
}

/** What identifies an attempt within its job. */
export function barKey({ task, attempt }: { task: string; attempt: number }): string {
  return `${task}/${attempt}`;
}

/** The bar of an attempt as an event tells of it, given what was known; undefined where it tells nothing of one. */
export function moveBar(known: Bar | undefined, event: TaskTransitionEvent): Bar | undefined {
  const atMs = Date.parse(event.at);
  const { task, attempt, workerId, to, from } = event;
  if (to === "running") {
    if (known || workerId === undefined) return known;
    const rest = { waitedMs: undefined, leaseMs: undefined, runMs: undefined, reason: undefined };
    return { task, attempt, workerId, startMs: atMs, endMs: undefined, mark: "running", ...rest };
  }
  if (from !== "running" || !known || known.endMs !== undefined) return undefined;
  const mark = isTerminalTaskState(to) ? markTask(to, event.warning) : markGivenBack(event.reason?.code);
  return { ...known, endMs: Math.max(atMs, known.startMs), mark, reason: event.reason?.code };
}
