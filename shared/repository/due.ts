import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { duePartitions, type ItemKey } from "./keys.ts";
import type { Table } from "./table.ts";

/**
 * Keys of the items that the sweep has to look at, page by page, in each partition of the index the longest overdue
 * first. What stays due after it was looked at does not come again in the same run.
 */
export async function* eachDuePage(table: Table, nowMs: number, pageSize: number): AsyncGenerator<ItemKey[]> {
  for (const partition of duePartitions()) {
    let after: Record<string, unknown> | undefined;
    do {
      const answer = await table.client.send(
        new QueryCommand({
          TableName: table.name,
          IndexName: "byDue",
          KeyConditionExpression: "duePk = :pk AND dueAt <= :now",
          ExpressionAttributeValues: { ":pk": partition, ":now": new Date(nowMs).toISOString() },
          Limit: pageSize,
          ...(after ? { ExclusiveStartKey: after } : {}),
        }),
      );
      const keys = (answer.Items ?? []).map((item): ItemKey => ({ pk: String(item.pk), sk: String(item.sk) }));
      if (keys.length > 0) yield keys;
      after = answer.LastEvaluatedKey;
    } while (after);
  }
}
