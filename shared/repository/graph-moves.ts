import { firstAnnouncement } from "../domain/announcement.ts";
import type { Reason } from "../domain/reason.ts";
import type { TaskItem, TaskTransition } from "./items.ts";
import { maxTransactionBytes, maxTransactionItems, type Table, updateItem, writeTransaction } from "./table.ts";
import { dueValues, foldDueMs, itemKeyOf, type TaskMove, toMove } from "./task-moves.ts";

/**
 * Moves of tasks that wait for others. Each is on the condition that no retry of what the task needs has touched it
 * since it was read: a retry that began meanwhile wins.
 */

/** Notes that tasks which a pending task waits for have completed; it is queued with the last of them. */
export async function meetNeeds(
  table: Table,
  task: TaskItem,
  completed: ReadonlySet<string>,
  nowMs: number,
): Promise<TaskMove> {
  const left = [...(task.waitingFor ?? [])].filter((need) => !completed.has(need));
  if (left.length === 0) return queuePending(table, task, nowMs);
  const untouched = isUntouched(task);
  const move = toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: "DELETE waitingFor :completed",
      ConditionExpression: `#state = :pending AND ${untouched.condition}`,
      ExpressionAttributeNames: { "#state": "state" },
      ExpressionAttributeValues: { ":pending": "pending", ":completed": completed, ...untouched.values },
    }),
  );
  // Somebody else noted the others meanwhile.
  if (move.moved && move.task.waitingFor === undefined) return queuePending(table, move.task, nowMs);
  return move;
}

async function queuePending(table: Table, task: TaskItem, nowMs: number): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const move: TaskTransition = { at, from: "pending", to: "queued", attempt: task.attempt };
  const untouched = isUntouched(task);
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: [
        "SET #state = :queued, #rev = #rev + :one, outbox = list_append(if_not_exists(outbox, :none), :outbox)",
        "unfolded = if_not_exists(unfolded, :zero) + :one",
        // Its message is sent after this write: where that does not happen the sweep sends it.
        "announce = :announce, queuedAt = :at, duePk = :duePk, dueAt = :dueAt REMOVE waitingFor",
      ].join(", "),
      ConditionExpression: `#rev = :rev AND #state = :pending AND ${untouched.condition}`,
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev" },
      ExpressionAttributeValues: {
        ":queued": "queued",
        ":pending": "pending",
        ":rev": task.rev,
        ":one": 1,
        ":zero": 0,
        ":none": [],
        ":outbox": [move],
        ":announce": firstAnnouncement(nowMs),
        ":at": at,
        ...untouched.values,
        ...dueValues(task.task, nowMs + foldDueMs),
      },
    }),
  );
}

/** Ends a pending task because one that it needs did not complete. */
export async function endPending(
  table: Table,
  task: TaskItem,
  end: { state: "skipped" | "aborted"; reason: Reason },
  nowMs: number,
): Promise<TaskMove> {
  const at = new Date(nowMs).toISOString();
  const { state, reason } = end;
  const move: TaskTransition = { at, from: "pending", to: state, attempt: task.attempt, reason };
  const untouched = isUntouched(task);
  return toMove(
    await updateItem(table, {
      Key: itemKeyOf(task),
      UpdateExpression: [
        "SET #state = :state, #rev = #rev + :one, endedAt = :at, outcome = :outcome",
        "outbox = list_append(if_not_exists(outbox, :none), :outbox)",
        "unfolded = if_not_exists(unfolded, :zero) + :one, duePk = :duePk, dueAt = :dueAt REMOVE waitingFor",
      ].join(", "),
      ConditionExpression: `#rev = :rev AND #state = :pending AND ${untouched.condition}`,
      ExpressionAttributeNames: { "#state": "state", "#rev": "rev" },
      ExpressionAttributeValues: {
        ":state": state,
        ":pending": "pending",
        ":rev": task.rev,
        ":one": 1,
        ":zero": 0,
        ":none": [],
        ":at": at,
        ":outcome": { state, reason },
        ":outbox": [move],
        ...untouched.values,
        ...dueValues(task.task, nowMs + foldDueMs),
      },
    }),
  );
}

function isUntouched({ retouched }: TaskItem): { condition: string; values: Record<string, number> } {
  return retouched === undefined
    ? { condition: "attribute_not_exists(retouched)", values: {} }
    : { condition: "retouched = :retouched", values: { ":retouched": retouched } };
}

/** Needs of one task that one transaction looks at, beside the task itself. */
const needsPerWrite = maxTransactionItems - 1;

/**
 * Lets a pending task wait again for needs that are retried, and whoever looked at it before look again. Refused where
 * one of these needs has moved since it was seen: it may have completed again by then, and nobody would tell.
 */
export async function waitAgain(table: Table, task: TaskItem, needs: readonly TaskItem[]): Promise<boolean> {
  let left = needs;
  while (left.length > 0) {
    const some = takeNeeds(left);
    left = left.slice(some.length);
    const outcome = await writeTransaction(table, [
      {
        Update: {
          TableName: table.name,
          Key: itemKeyOf(task),
          UpdateExpression: "SET retouched = if_not_exists(retouched, :zero) + :one ADD waitingFor :needs",
          ConditionExpression: "#state = :pending",
          ExpressionAttributeNames: { "#state": "state" },
          ExpressionAttributeValues: {
            ":pending": "pending",
            ":needs": new Set(some.map((need) => need.task)),
            ":zero": 0,
            ":one": 1,
          },
        },
      },
      ...some.map((need) => ({
        ConditionCheck: {
          TableName: table.name,
          Key: itemKeyOf(need),
          ConditionExpression: "#rev = :rev",
          ExpressionAttributeNames: { "#rev": "rev" },
          ExpressionAttributeValues: { ":rev": need.rev },
        },
      })),
    ]);
    if (!outcome.ok) return false;
  }
  return true;
}

/** As many needs as one transaction may look at, at least one. */
function takeNeeds(needs: readonly TaskItem[]): TaskItem[] {
  let bytes = 0;
  const some: TaskItem[] = [];
  for (const need of needs.slice(0, needsPerWrite)) {
    bytes += Buffer.byteLength(JSON.stringify(need));
    if (some.length > 0 && bytes > maxTransactionBytes) break;
    some.push(need);
  }
  return some;
}
