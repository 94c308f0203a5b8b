import { randomBytes } from "node:crypto";
import type { AttemptKey } from "../domain/ids.ts";
import type { TaskItem, TaskTransition } from "./items.ts";
import { dueEntry, type ItemKey, taskKey } from "./keys.ts";
import { getItems, type Table, type UpdateOutcome, updateItem } from "./table.ts";

/** A task that is due to be folded is looked at by the sweep if its trigger has not done it by then. */
export const foldDueMs = 30_000;

/** Outcome of a conditional write to a task: done, or the task as it was when the condition failed (if it exists). */
export type TaskMove = { moved: true; task: TaskItem } | { moved: false; task?: TaskItem };

/** What names a task item. */
export type TaskAddress = Pick<AttemptKey, "jobId" | "bucket" | "task">;

/** A move of a task: where it leads, on which condition, and what else of the item changes by it. */
export interface MoveWrite {
  /** Oldest first, at least one; the state of the last is the task's. */
  transitions: readonly TaskTransition[];
  nowMs: number;
  /** `#state` and `#rev` may be used, and all that `values` and `names` say. */
  condition: string;
  /** Assignments beside those that every move makes; `:none` is an empty list and `:zero` the number. */
  set?: readonly string[];
  remove?: readonly string[];
  names?: Record<string, string>;
  values?: Record<string, unknown>;
}

/**
 * Moves a task by one conditional write, which also leaves the fold the events to count. A write whose answer got lost
 * is sent again and then refused, as the task has moved: it knows itself by the id that it left. So does one that was
 * never answered, where the table can be read again.
 */
export async function moveTask(table: Table, address: TaskAddress, write: MoveWrite): Promise<TaskMove> {
  const { transitions, nowMs, condition, set = [], remove = [], names = {}, values = {} } = write;
  const moveId = randomBytes(9).toString("base64url");
  const assignments = [
    "#state = :state, #rev = #rev + :moves, moveId = :moveId",
    "outbox = list_append(if_not_exists(outbox, :none), :outbox)",
    "unfolded = if_not_exists(unfolded, :zero) + :moves, duePk = :duePk, dueAt = :dueAt",
    ...set,
  ];
  const update = {
    Key: itemKeyOf(address),
    UpdateExpression: `SET ${assignments.join(", ")}${remove.length > 0 ? ` REMOVE ${remove.join(", ")}` : ""}`,
    ConditionExpression: condition,
    ExpressionAttributeNames: { "#state": "state", "#rev": "rev", ...names },
    ExpressionAttributeValues: {
      ":state": transitions.at(-1)?.to,
      ":moves": transitions.length,
      ":moveId": moveId,
      ":outbox": transitions,
      ":none": [],
      ":zero": 0,
      ...values,
      ...dueValues(address.task, nowMs + foldDueMs),
    },
  };
  try {
    const move = toMove(await updateItem(table, update));
    return move.task?.moveId === moveId ? { moved: true, task: move.task } : move;
  } catch (error) {
    const [item] = await getItems(table, [update.Key]).catch(() => []);
    if (item?.moveId === moveId) return { moved: true, task: item as unknown as TaskItem };
    throw error;
  }
}

/** The key of a task's item. */
export function itemKeyOf({ jobId, bucket, task }: TaskAddress): ItemKey {
  return taskKey(jobId, bucket, task);
}

/** Values of the due index for an update that sets `duePk = :duePk, dueAt = :dueAt`. */
export function dueValues(task: string, dueAtMs: number): Record<string, string> {
  const { duePk, dueAt } = dueEntry(task, dueAtMs);
  return { ":duePk": duePk, ":dueAt": dueAt };
}

/** What a conditional update of a task item came to. */
export function toMove(outcome: UpdateOutcome): TaskMove {
  if (outcome.ok) return { moved: true, task: outcome.item as unknown as TaskItem };
  return outcome.item ? { moved: false, task: outcome.item as unknown as TaskItem } : { moved: false };
}
