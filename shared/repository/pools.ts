import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { PoolCounts } from "../domain/pool-state.ts";
import { movePool, toPool } from "./fleet-moves.ts";
import { type ItemKey, poolKey, poolListEntry } from "./keys.ts";
import { getItems, type Table } from "./table.ts";

/**
 * A pool that workers were seen of. `seq`, the sequence number of its newest event, is also the item's version: every
 * move of one of its workers is written together with this item, on the condition of the `seq` it has seen.
 */
export interface PoolItem extends PoolCounts {
  pool: string;
  seq: number;
  /** When one of its workers was last heard of, as far as a move of one told; 0: none ever was. */
  lastSeenMs: number;
  /** When its newest event happened. */
  movedMs: number;
  /** Workers that there should be, where somebody has said so. */
  desired?: number;
}

/** Reads and writes what is known of pools. */
export interface PoolRepository {
  get(pool: string): Promise<PoolItem | undefined>;
  /** All pools ever seen and not forgotten, by name. */
  list(): Promise<PoolItem[]>;
  /** How many workers the pool should have; undefined: nobody says. What was said before is no event. */
  setDesired(pool: string, desired: number | undefined, by: string, nowMs: number): Promise<void>;
  /** Takes the pool off the list until a worker of it starts again; false where it has live workers. */
  forget(pool: string, by: string, nowMs: number): Promise<boolean>;
}

export function createPoolRepository(table: Table): PoolRepository {
  return {
    async get(pool) {
      const [item] = await getItems(table, [poolKey(pool)]);
      return item && isRemembered(item) ? toPool(pool, item) : undefined;
    },
    async list() {
      const keys: ItemKey[] = [];
      let after: Record<string, unknown> | undefined;
      do {
        const answer = await table.client.send(
          new QueryCommand({
            TableName: table.name,
            IndexName: "byList",
            KeyConditionExpression: "listPk = :pk",
            ExpressionAttributeValues: { ":pk": poolListEntry("").listPk },
            ...(after ? { ExclusiveStartKey: after } : {}),
          }),
        );
        keys.push(...(answer.Items ?? []).map((item) => ({ pk: String(item.pk), sk: String(item.sk) })));
        after = answer.LastEvaluatedKey;
      } while (after);
      const items = (await getItems(table, keys)).filter(isRemembered);
      return items.map((item) => toPool(String(item.pool), item)).sort((a, b) => (a.pool < b.pool ? -1 : 1));
    },
    async setDesired(pool, desired, by, nowMs) {
      await movePool(table, pool, nowMs, (before) => {
        if (before.desired === desired) return undefined;
        const { desired: from = null, ...rest } = before;
        const after = desired === undefined ? rest : { ...rest, desired };
        return { after, events: [{ type: "desired_changed", by, from, to: desired ?? null }], isListed: true };
      });
    },
    forget: (pool, by, nowMs) =>
      movePool(table, pool, nowMs, (before) => {
        if (before.live > 0) return undefined;
        const { desired: _, ...rest } = before;
        const after = { ...rest, losses: [], lastSeenMs: 0 };
        return { after, events: [{ type: "pool_forgotten", by }], isListed: false };
      }),
  };
}

/** A forgotten pool keeps its item: its sequence of events goes on should it come back. */
function isRemembered(item: Record<string, unknown>): boolean {
  return item.listPk !== undefined;
}
