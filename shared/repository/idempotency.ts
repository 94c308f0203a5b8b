import { idempotencyItemKey } from "./keys.ts";
import { getItems, type Table, type TransactItems } from "./table.ts";

const ttlSeconds = 24 * 3600;

/** What an Idempotency-Key of a caller led to; `requestSha256` tells a repeat from a misuse. */
export interface IdempotentRequest {
  jobId: string;
  requestSha256: string;
}

/** The table removes expired items when it likes, up to days later: until then they are treated as absent. */
export async function findIdempotent(
  table: Table,
  principal: string,
  key: string,
  nowMs: number,
): Promise<IdempotentRequest | undefined> {
  const [item] = await getItems(table, [idempotencyItemKey(principal, key)]);
  if (item === undefined || Number(item.expiresAt) <= nowMs / 1000) return undefined;
  return item as unknown as IdempotentRequest;
}

/** Remembers for a day that a key of a caller led to a request; fails where it led to another. */
export function putIdempotent(
  table: Table,
  request: IdempotentRequest & { principal: string; key: string; nowMs: number },
): TransactItems[number] {
  const { principal, key, jobId, requestSha256, nowMs } = request;
  const nowSeconds = Math.floor(nowMs / 1000);
  const Item = { ...idempotencyItemKey(principal, key), type: "idempotency", jobId, requestSha256 };
  return {
    Put: {
      TableName: table.name,
      ConditionExpression: "attribute_not_exists(pk) OR expiresAt <= :now",
      ExpressionAttributeValues: { ":now": nowSeconds },
      Item: { ...Item, expiresAt: nowSeconds + ttlSeconds },
    },
  };
}
