import { createHash } from "node:crypto";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import type { Role } from "../domain/roles.ts";
import { tokenKey } from "./keys.ts";
import { getItems, type Table } from "./table.ts";

/** Who a token belongs to. `name` stands in events and audits. */
export interface Principal {
  name: string;
  role: Role;
}

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
      const Item = { ...tokenKey(sha256(token)), type: "token", ...principal };
      await table.client.send(new PutCommand({ TableName: table.name, Item }));
    },
  };
}

function sha256(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
