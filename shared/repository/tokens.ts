import { createHash } from "node:crypto";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { tokenKey } from "./keys.ts";
import { getItems, type Table } from "./table.ts";
import { type Principal, tokenItem } from "./token-item.ts";

export type { Principal } from "./token-item.ts";

/** Finds and stores API tokens by their hash. */
export interface TokenRepository {
  find(token: string): Promise<Principal | undefined>;
  put(token: string, principal: Principal): Promise<void>;
}

export function createTokenRepository(table: Table): TokenRepository {
  return {
    async find(token) {
      const [item] = await getItems(table, [tokenKey(sha256(token))]);
      return item as Principal | undefined;
    },
    async put(token, principal) {
      await table.client.send(new PutCommand({ TableName: table.name, Item: tokenItem(sha256(token), principal) }));
    },
  };
}

function sha256(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
