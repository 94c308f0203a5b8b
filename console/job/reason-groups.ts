import type { TaskView } from "../../shared/api-client/job-view.ts";
import type { Fault, ReasonCode } from "../../shared/domain/reason.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";

/** Tasks that did not complete for what looks like the same reason. */
export interface ReasonGroup {
  /** The same for the same reason in any job: it stands in addresses. */
  key: string;
  code: ReasonCode;
  fault: Fault;
  /** What one of them says; the others may have other numbers in it. */
  example: string;
  /** In the order that they were given in. */
  tasks: TaskView[];
}

const keys = new WeakMap<TaskView, string>();

/** The group that a task belongs to; undefined where it has completed or has not ended. */
export function reasonGroupOf(task: TaskView): string | undefined {
  const { reason } = task;
  if (!reason || task.status === "completed" || !isTerminalTaskState(task.status)) return undefined;
  // A task that changes is another object, so what was found out about one stays true.
  const known = keys.get(task);
  if (known !== undefined) return known;
  // What a program exits with is what tells its failures apart, unlike any other number.
  const exit = reason.code === "exit_code" ? `${task.exitCode ?? ""}` : "";
  const key = [reason.code, exit, hash(blankDetails(reason.detail))].filter((part) => part !== "").join("-");
  keys.set(task, key);
  return key;
}

/** Groups what did not complete by its reason, the largest group first. */
export function groupReasons(tasks: readonly TaskView[]): ReasonGroup[] {
  const groups = new Map<string, ReasonGroup>();
  for (const task of tasks) {
    const key = reasonGroupOf(task);
    if (key === undefined || !task.reason) continue;
    const { code, fault, detail } = task.reason;
    const group = groups.get(key);
    if (group) group.tasks.push(task);
    else groups.set(key, { key, code, fault, example: detail, tasks: [task] });
  }
  return [...groups.values()].sort((a, b) => b.tasks.length - a.tasks.length);
}

/** A detail without what differs from task to task: ids, digests, counts, times. */
export function blankDetails(detail: string): string {
  return detail
    .replace(/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi, "#")
    .replace(/\b(?:0x[0-9a-f]+|(?=[0-9a-f]*\d)[0-9a-f]{7,})\b/gi, "#")
    .replace(/\b0[0-9a-hjkmnp-tv-z]{25}\b/g, "#")
    .replace(/\d+(?:[.,:]\d+)*/g, "#");
}

/** FNV-1a, short enough for an address. */
function hash(text: string): string {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return value.toString(36);
}
