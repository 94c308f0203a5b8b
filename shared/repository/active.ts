import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import { jobUlid } from "../domain/ids.ts";
import type { JobDigest } from "./items.ts";
import { type ActiveEntry, activeJobEntry, activeWorkerEntry, type ItemKey, parseDigestKey } from "./keys.ts";
import { getItems, type Table } from "./table.ts";
import type { WorkerItem } from "./workers.ts";

/** What is active in a pool, the oldest first unless asked otherwise; `more` says that others follow. */
export interface ActivePage<Item> {
  items: Item[];
  more: boolean;
}

/**
 * Jobs of a pool that have not ended and were submitted before the one given. The cost depends on what is listed, not
 * on how many jobs have ended. The index may be a moment behind.
 */
export async function listJobsBefore(
  table: Table,
  { pool, jobId }: { pool: string; jobId: string },
  limit: number,
): Promise<ActivePage<JobDigest>> {
  const { keys, more } = await queryActive(table, activeJobEntry(pool, jobId).activePk, limit, {
    before: jobUlid(jobId),
  });
  return { items: (await getItems(table, keys)) as unknown as JobDigest[], more };
}

/** Which jobs of a pool that have not ended to name. */
export interface ActiveJobsQuery {
  pool: string;
  limit: number;
  first: "newest" | "oldest";
}

/** Ids of jobs of a pool that have not ended, without reading them. The index may be a moment behind. */
export async function listActiveJobIds(
  table: Table,
  { pool, limit, first }: ActiveJobsQuery,
): Promise<ActivePage<string>> {
  const { keys, more } = await queryActive(table, activeJobEntry(pool, "").activePk, limit, {
    newestFirst: first === "newest",
  });
  return { items: keys.flatMap((key) => parseDigestKey(key) ?? []), more };
}

/** Workers of a pool that have not said that they stopped: those that live, and those that died without a word. */
export async function listActiveWorkers(table: Table, pool: string, limit: number): Promise<ActivePage<WorkerItem>> {
  const { keys, more } = await queryActive(table, activeWorkerEntry(pool, "").activePk, limit);
  return { items: (await getItems(table, keys)) as unknown as WorkerItem[], more };
}

/** How many jobs of a pool have not ended: counted up to `limit`, without reading them. */
export async function countActiveJobs(table: Table, pool: string, limit: number): Promise<number> {
  let count = 0;
  let after: Record<string, unknown> | undefined;
  do {
    const answer = await table.client.send(
      new QueryCommand({
        TableName: table.name,
        IndexName: "byActive",
        Select: "COUNT",
        KeyConditionExpression: "activePk = :pk",
        ExpressionAttributeValues: { ":pk": activeJobEntry(pool, "").activePk },
        Limit: limit - count,
        ...(after ? { ExclusiveStartKey: after } : {}),
      }),
    );
    count += answer.Count ?? 0;
    after = answer.LastEvaluatedKey;
  } while (after && count < limit);
  return count;
}

async function queryActive(
  table: Table,
  activePk: ActiveEntry["activePk"],
  limit: number,
  { before, newestFirst = false }: { before?: ActiveEntry["activeSk"]; newestFirst?: boolean } = {},
): Promise<{ keys: ItemKey[]; more: boolean }> {
  const keys: ItemKey[] = [];
  let after: Record<string, unknown> | undefined;
  do {
    const answer = await table.client.send(
      new QueryCommand({
        TableName: table.name,
        IndexName: "byActive",
        KeyConditionExpression: before === undefined ? "activePk = :pk" : "activePk = :pk AND activeSk < :before",
        ExpressionAttributeValues: { ":pk": activePk, ...(before === undefined ? {} : { ":before": before }) },
        ScanIndexForward: !newestFirst,
        Limit: limit - keys.length,
        ...(after ? { ExclusiveStartKey: after } : {}),
      }),
    );
    keys.push(...(answer.Items ?? []).map((item) => ({ pk: String(item.pk), sk: String(item.sk) })));
    after = answer.LastEvaluatedKey;
  } while (after && keys.length < limit);
  return { keys, more: after !== undefined };
}
