import { firstAnnouncement } from "../domain/announcement.ts";
import type { TaskItem } from "./items.ts";
import { itemKeyOf, moveTask, type TaskMove, toMove } from "./move-task.ts";
import { maxTransactionBytes, maxTransactionItems, type Table, updateItem, writeTransaction } from "./table.ts";
import { endUnclaimed, type ItemCondition, type UnclaimedEnd } from "./task-moves.ts";

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
  const untouched = isUntouched(task);
  return moveTask(table, task, {
    transitions: [{ at, from: "pending", to: "queued", attempt: task.attempt }],
    nowMs,
    condition: `#rev = :rev AND ${untouched.condition}`,
    // Its message is sent after this write: where that does not happen the sweep sends it.
    set: ["announce = :announce, queuedAt = :at"],
    remove: ["waitingFor"],
    values: { ":rev": task.rev, ":announce": firstAnnouncement(nowMs), ":at": at, ...untouched.values },
  });
}

/** Ends a pending task because one that it needs did not complete. */
export async function endPending(table: Table, task: TaskItem, end: UnclaimedEnd, nowMs: number): Promise<TaskMove> {
  return endUnclaimed(table, task, end, nowMs, isUntouched(task));
}

function isUntouched({ retouched }: TaskItem): ItemCondition {
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
