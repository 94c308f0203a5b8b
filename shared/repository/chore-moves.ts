import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { DeleteCommand } from "@aws-sdk/lib-dynamodb";
import type { Chore } from "./items.ts";
import { choreKey } from "./keys.ts";
import { type Table, updateItem } from "./table.ts";

/** Notes how far a chore has come; false where somebody else has moved it, or put another in its place. */
export function moveChore(table: Table, chore: Chore, cursor: string): Promise<boolean> {
  return moveCursor(table, chore, cursor, { nonce: chore.nonce });
}

/** Notes how far the `advance` chore has come, also where there is more to do by now; false where somebody has moved it. */
export function moveAdvance(table: Table, chore: Chore, cursor: string): Promise<boolean> {
  return moveCursor(table, chore, cursor, {});
}

/** Lays the `advance` chore to rest; false where there is more to do by now, or somebody else has moved it. */
export function restAdvance(table: Table, chore: Chore, cursor: string): Promise<boolean> {
  return moveCursor(table, chore, cursor, { nonce: chore.nonce, rests: true });
}

/** Removes a chore that is done, unless another has been put in its place meanwhile. */
export async function endChore(table: Table, chore: Chore): Promise<void> {
  try {
    await table.client.send(new DeleteCommand(deleteChore(table, chore)));
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
  }
}

/** The removal of a chore, which fails where another has been put in its place. */
export function deleteChore(table: Table, { jobId, kind, nonce }: Chore) {
  return {
    TableName: table.name,
    Key: choreKey(jobId, kind),
    ConditionExpression: "nonce = :nonce",
    ExpressionAttributeValues: { ":nonce": nonce },
  };
}

async function moveCursor(
  table: Table,
  { jobId, kind, cursor: seen }: Chore,
  next: string,
  { nonce, rests = false }: { nonce?: string; rests?: boolean },
): Promise<boolean> {
  const outcome = await updateItem(table, {
    Key: choreKey(jobId, kind),
    UpdateExpression: rests ? "SET #cursor = :next REMOVE duePk, dueAt" : "SET #cursor = :next",
    ConditionExpression: nonce === undefined ? "#cursor = :seen" : "#cursor = :seen AND nonce = :nonce",
    ExpressionAttributeNames: { "#cursor": "cursor" },
    ExpressionAttributeValues: { ":next": next, ":seen": seen, ...(nonce === undefined ? {} : { ":nonce": nonce }) },
  });
  return outcome.ok;
}
