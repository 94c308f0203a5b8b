import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { TaskItem } from "./items.ts";
import { duePartitions, type ItemKey } from "./keys.ts";
import { foldDueMs } from "./move-task.ts";
import { getItems, type Table } from "./table.ts";

/** Claims of all workers that are looked through in each partition of the index, at most. */
const claimsRead = 250;

/**
 * Tasks that a worker claimed within a span of time and still holds, as far as the index of what is due still has them
 * under the time of their claim: until the sweep has looked at them.
 */
export async function listClaimedBetween(
  table: Table,
  workerId: string,
  fromMs: number,
  toMs: number,
): Promise<TaskItem[]> {
  const pages = await Promise.all(duePartitions().map((partition) => queryDue(table, partition, fromMs, toMs)));
  const keys = pages.flat().filter(({ pk }) => pk.startsWith("TASKS#"));
  const tasks = (await getItems(table, keys)) as unknown as TaskItem[];
  return tasks.filter(({ lease }) => lease?.workerId === workerId);
}

async function queryDue(table: Table, partition: string, fromMs: number, toMs: number): Promise<ItemKey[]> {
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: "byDue",
      KeyConditionExpression: "duePk = :pk AND dueAt BETWEEN :from AND :to",
      ExpressionAttributeValues: {
        ":pk": partition,
        ":from": new Date(fromMs + foldDueMs).toISOString(),
        ":to": new Date(toMs + foldDueMs).toISOString(),
      },
      Limit: claimsRead,
    }),
  );
  return (answer.Items ?? []).map((item) => ({ pk: String(item.pk), sk: String(item.sk) }));
}
