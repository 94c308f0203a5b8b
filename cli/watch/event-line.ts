import type { JobEvent, TaskTransitionEvent } from "../../events/index.ts";
import type { JobView } from "../../shared/api-client/job-view.ts";
import { formatDuration, plural } from "../../shared/domain/format.ts";
import { markTask } from "../../shared/domain/task-mark.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { oneLine } from "../terminal/one-line.ts";
import type { Style } from "../terminal/style.ts";
import { markLooks } from "../terminal/symbols.ts";
import { explainReason } from "./task-line.ts";

/** Above this many tasks, starts and completions are not worth a line each; what goes wrong always is. */
export const everyEventTasks = 100;

/** One plain line about an event, for logs that are read later; undefined where it is not worth one. */
export function describeEvent(event: JobEvent, view: JobView, style: Style): string | undefined {
  switch (event.type) {
    case "job.submitted":
      return `${event.jobId}: submitted, ${plural(event.tasks, "task")}, pool ${oneLine(event.pool)}`;
    case "job.started":
      return `${event.jobId}: running`;
    case "job.cancel_requested":
      return style("yellow", `${event.jobId}: ending: ${oneLine(event.detail)}`);
    case "job.retry_requested":
      return style("yellow", `↻  ${event.jobId}: ${plural(event.count, "task")} retried by ${oneLine(event.by)}`);
    case "job.ended":
      return undefined;
    case "task.transition":
      return describeTransition(event, view, style);
  }
}

function describeTransition(event: TaskTransitionEvent, view: JobView, style: Style): string | undefined {
  const isSmall = view.total <= everyEventTasks;
  const { symbol, label, color } = markLooks[markTask(event.to, event.warning)];
  const task = oneLine(event.task);
  const because = event.reason ? `: ${explainReason(event.reason)}` : "";
  if (event.to === "running") {
    if (!isSmall && event.attempt <= 1) return undefined;
    const attempt = event.attempt > 1 ? `, attempt ${event.attempt}` : "";
    return style(color, `${symbol} ${task} running${attempt}`);
  }
  if (isTerminalTaskState(event.to)) {
    if (event.to === "completed" && !isSmall) return undefined;
    const startedAtMs = view.tasks.get(event.task)?.startedAtMs;
    const span = startedAtMs === undefined ? "" : ` after ${formatDuration(Date.parse(event.at) - startedAtMs)}`;
    return style(color, `${symbol} ${task} ${label}${span}${because}`);
  }
  // Back to the queue: something took the task from its worker, or somebody retried it.
  if (event.from === "running" || isTerminalTaskState(event.from)) {
    return style("yellow", `↻  ${task} ${event.to === "pending" ? "waits" : "queued"} again${because}`);
  }
  return undefined;
}
