import { GetItemCommand, PutItemCommand } from "@aws-sdk/client-dynamodb";
import { GetCommand, PutCommand, UpdateCommand, type UpdateCommandInput } from "@aws-sdk/lib-dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import { createTable, failureOf, type Target } from "./target.ts";

const START = { n: 5, list: [1, 2, 3], map: { a: 1, b: 2 }, set: new Set(["x", "y"]) };

type Case = readonly [title: string, expression: string, values: Record<string, unknown> | undefined, after: object];

const CASES: readonly Case[] = [
  ["appends to a list", "SET #list = list_append(#list, :v)", { ":v": [4] }, { list: [1, 2, 3, 4] }],
  ["puts in front of a list", "SET #list = list_append(:v, #list)", { ":v": [0] }, { list: [0, 1, 2, 3] }],
  [
    "starts a list that is not there yet",
    "SET fresh = list_append(if_not_exists(fresh, :empty), :v)",
    { ":empty": [], ":v": ["first"] },
    { fresh: ["first"] },
  ],
  ["removes a list index and closes the gap", "REMOVE #list[0]", undefined, { list: [2, 3] }],
  ["ignores the removal of an index past the end", "REMOVE #list[9]", undefined, {}],
  ["sets one list index and removes another", "SET #list[0] = :v REMOVE #list[1]", { ":v": 9 }, { list: [9, 3] }],
  ["sets and removes inside a map", "SET #map.a = :v REMOVE #map.b", { ":v": 7 }, { map: { a: 7 } }],
  ["ignores the removal of an attribute that is not there", "REMOVE absent, #map.absent", undefined, {}],
  [
    "counts up from a default",
    "SET counted = if_not_exists(counted, :zero) + :v",
    { ":zero": 0, ":v": 3 },
    { counted: 3 },
  ],
  ["keeps what if_not_exists finds", "SET n = if_not_exists(n, :v)", { ":v": 1 }, { n: 5 }],
  ["adds to a number and to one that is not there", "ADD n :v, fresh :v", { ":v": 2 }, { n: 7, fresh: 2 }],
  ["adds to a set", "ADD #set :v", { ":v": new Set(["y", "z"]) }, { set: new Set(["x", "y", "z"]) }],
  ["deletes from a set", "DELETE #set :v", { ":v": new Set(["x"]) }, { set: new Set(["y"]) }],
  ["drops a set with its last member", "DELETE #set :v", { ":v": new Set(["x", "y"]) }, { set: undefined }],
  ["reads all operands before it writes any", "SET kept = n, n = :v", { ":v": 8 }, { kept: 5, n: 8 }],
  ["subtracts", "SET n = n - :v", { ":v": 7 }, { n: -2 }],
];

const FAULTS: readonly (readonly [title: string, expression: string, values: Record<string, unknown> | undefined])[] = [
  ["a key attribute", "SET pk = :v", { ":v": "other" }],
  ["one path twice", "SET n = :v, n = :v", { ":v": 1 }],
  ["a path and a part of it", "SET #map = :v, #map.a = :v", { ":v": 1 }],
  ["arithmetic on an attribute that is not there", "SET x = absent + :v", { ":v": 1 }],
  ["a copy of an attribute that is not there", "SET x = absent", undefined],
  ["a path below an attribute that is not there", "SET absent.x = :v", { ":v": 1 }],
  ["ADD to a map", "ADD #map :v", { ":v": 1 }],
  ["an index key of another type", "SET #owner = :v", { ":v": 5 }],
];

/** Update expressions, value by value, and what an update returns. */
export function describeUpdates(target: () => Target): void {
  describe("update expressions", () => {
    let table: string;
    let cases = 0;
    beforeAll(async () => {
      table = await createTable(target());
    });

    const update = (Key: Record<string, string>, expression: string, values?: Record<string, unknown>) => {
      const aliases = { "#list": "list", "#map": "map", "#set": "set", "#owner": "owner" };
      const names = Object.entries(aliases).filter(([alias]) => expression.includes(alias));
      const input: UpdateCommandInput = {
        TableName: table,
        Key,
        UpdateExpression: expression,
        ReturnValues: "ALL_NEW",
      };
      if (names.length > 0) input.ExpressionAttributeNames = Object.fromEntries(names);
      if (values !== undefined) input.ExpressionAttributeValues = values;
      return target().documents.send(new UpdateCommand(input));
    };
    const putStart = async () => {
      cases += 1;
      const Key = { pk: "updates", sk: `${cases}` };
      await target().documents.send(new PutCommand({ TableName: table, Item: { ...Key, ...START } }));
      return Key;
    };

    it.each(CASES)("%s", async (_title, expression, values, after) => {
      const Key = await putStart();
      const { Attributes } = await update(Key, expression, values);
      expect(Attributes).toEqual({ ...Key, ...START, ...after });
      const { Item } = await target().documents.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }));
      expect(Item).toEqual(Attributes);
    });

    it.each(FAULTS)("refuses %s and changes nothing", async (_title, expression, values) => {
      const Key = await putStart();
      expect(await failureOf(update(Key, expression, values))).toBe("ValidationException");
      const { Item } = await target().documents.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }));
      expect(Item).toEqual({ ...Key, ...START });
    });

    it("keeps 38 digits of a number", async () => {
      const { client } = target();
      const N = "12345678901234567890123456789012345678";
      await client.send(
        new PutItemCommand({ TableName: table, Item: { pk: { S: "digits" }, sk: { S: "1" }, n: { N } } }),
      );
      const answer = await client.send(
        new GetItemCommand({ TableName: table, Key: { pk: { S: "digits" }, sk: { S: "1" } } }),
      );
      expect(answer.Item?.n).toEqual({ N });
    });

    it("returns what ReturnValues asks for", async () => {
      const returned = async (ReturnValues: "ALL_OLD" | "UPDATED_OLD" | "UPDATED_NEW") => {
        const Key = await putStart();
        const { Attributes } = await target().documents.send(
          new UpdateCommand({
            TableName: table,
            Key,
            UpdateExpression: "SET n = :v, fresh = :v",
            ExpressionAttributeValues: { ":v": 6 },
            ReturnValues,
          }),
        );
        return { Key, Attributes };
      };
      const old = await returned("ALL_OLD");
      expect(old.Attributes).toEqual({ ...old.Key, ...START });
      expect((await returned("UPDATED_OLD")).Attributes).toEqual({ n: 5 });
      expect((await returned("UPDATED_NEW")).Attributes).toEqual({ n: 6, fresh: 6 });
    });

    it("creates an item by an update, with the old attributes that the table of differences says", async () => {
      const Key = { pk: "updates", sk: "created" };
      const { Attributes } = await target().documents.send(
        new UpdateCommand({
          TableName: table,
          Key,
          UpdateExpression: "SET n = :v",
          ExpressionAttributeValues: { ":v": 1 },
          ReturnValues: "ALL_OLD",
        }),
      );
      expect(Attributes).toEqual(target().departsIn("allOldOfNewItem") ? Key : undefined);
      const { Item } = await target().documents.send(new GetCommand({ TableName: table, Key }));
      expect(Item).toEqual({ ...Key, n: 1 });
    });

    it("answers list and path corners as the table of differences says", async () => {
      const listAfter = async (expression: string, values?: Record<string, unknown>) =>
        (await update(await putStart(), expression, values)).Attributes?.list;
      expect(await listAfter("REMOVE #list[0], #list[1]")).toEqual(
        target().departsIn("removeSeveralIndexes") ? [2] : [3],
      );
      const beyond = target().departsIn("setBeyondListEnd") ? [1, 2, 3, null, null, 9] : [1, 2, 3, 9];
      expect(await listAfter("SET #list[5] = :v", { ":v": 9 })).toEqual(beyond);
      const belowMissing = await failureOf(update(await putStart(), "REMOVE absent.x"));
      expect(belowMissing).toBe(target().departsIn("removeBelowMissing") ? "succeeded" : "ValidationException");
    });
  });
}
