import { createHash } from "node:crypto";
import type { Role } from "../shared/domain/roles.ts";
import { tableDefinition } from "../shared/infrastructure/table.ts";
import { tokenItem } from "../shared/repository/token-item.ts";
import type { Stage } from "./stage.ts";

const tokenLength = 48;

/**
 * The two tokens a stage begins with, made by the deployment: an administrator's, who makes those of people, and the
 * workers'. Their values are in Parameter Store, encrypted; the table holds their hashes.
 */
export function createFirstTokens(stage: Stage, table: sst.aws.Dynamo) {
  return {
    admin: createToken(stage, table, { component: "AdminToken", name: "deployment", role: "admin" }),
    worker: createToken(stage, table, { component: "WorkerToken", name: "workers", role: "worker" }),
  };
}

function createToken(
  stage: Stage,
  table: sst.aws.Dynamo,
  { component, name, role }: { component: string; name: string; role: Role },
): { parameterName: string } {
  const { result: value } = new random.RandomPassword(component, { length: tokenLength, special: false });
  const parameterName = `/sluice/${stage.name}/tokens/${role}`;
  new aws.ssm.Parameter(`${component}Value`, { name: parameterName, type: "SecureString", value });
  new aws.dynamodb.TableItem(`${component}Hash`, {
    tableName: table.name,
    hashKey: tableDefinition.partitionKey,
    rangeKey: tableDefinition.sortKey,
    item: value.apply((token) => {
      const item = tokenItem(createHash("sha256").update(token).digest("hex"), { name, role });
      return JSON.stringify(Object.fromEntries(Object.entries(item).map(([key, text]) => [key, { S: text }])));
    }),
  });
  return { parameterName };
}
