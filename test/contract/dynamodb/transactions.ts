import { randomUUID } from "node:crypto";
import {
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactGetCommand,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from "@aws-sdk/lib-dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import { createTable, failureOf, settle, type Target } from "./target.ts";

type Items = NonNullable<TransactWriteCommandInput["TransactItems"]>;

const RACERS = 20;
const MAX_ITEMS = 100;

/** Transactions: all or nothing, the reasons of a cancellation, idempotency tokens, races and limits. */
export function describeTransactions(target: () => Target): void {
  describe("transactions", () => {
    let table: string;
    beforeAll(async () => {
      table = await createTable(target());
    });

    const transact = (TransactItems: Items, ClientRequestToken?: string) =>
      target().documents.send(
        new TransactWriteCommand({
          TransactItems,
          ...(ClientRequestToken === undefined ? {} : { ClientRequestToken }),
        }),
      );
    const put = (pk: string, sk: string, more: object = {}) =>
      target().documents.send(new PutCommand({ TableName: table, Item: { pk, sk, ...more } }));
    const get = async (pk: string, sk: string) =>
      (await target().documents.send(new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: true }))).Item;
    const count = async (pk: string) =>
      (
        await target().documents.send(
          new QueryCommand({
            TableName: table,
            KeyConditionExpression: "pk = :pk",
            ExpressionAttributeValues: { ":pk": pk },
            ConsistentRead: true,
          }),
        )
      ).Count;
    const increment = (pk: string, sk: string, condition?: string): Items[number] => ({
      Update: {
        TableName: table,
        Key: { pk, sk },
        UpdateExpression: "ADD n :one",
        ExpressionAttributeValues: { ":one": 1 },
        ...(condition === undefined ? {} : { ConditionExpression: condition }),
      },
    });

    it("writes a put, an update, a delete and a check as one", async () => {
      await put("kinds", "changed", { n: 1 });
      await put("kinds", "deleted");
      await transact([
        { Put: { TableName: table, Item: { pk: "kinds", sk: "new" } } },
        increment("kinds", "changed", "attribute_exists(pk)"),
        { Delete: { TableName: table, Key: { pk: "kinds", sk: "deleted" } } },
        {
          ConditionCheck: {
            TableName: table,
            Key: { pk: "kinds", sk: "x" },
            ConditionExpression: "attribute_not_exists(pk)",
          },
        },
      ]);
      expect(await get("kinds", "new")).toEqual({ pk: "kinds", sk: "new" });
      expect(await get("kinds", "changed")).toEqual({ pk: "kinds", sk: "changed", n: 2 });
      expect(await get("kinds", "deleted")).toBeUndefined();
    });

    it("writes nothing when one condition fails and gives a reason for each item, in order", async () => {
      await put("cancelled", "stored", { n: 1 });
      const request = transact([
        { Put: { TableName: table, Item: { pk: "cancelled", sk: "new" } } },
        {
          Update: {
            TableName: table,
            Key: { pk: "cancelled", sk: "stored" },
            UpdateExpression: "SET n = :next",
            ConditionExpression: "n = :seen",
            ExpressionAttributeValues: { ":next": 3, ":seen": 2 },
            ReturnValuesOnConditionCheckFailure: "ALL_OLD",
          },
        },
        {
          ConditionCheck: {
            TableName: table,
            Key: { pk: "cancelled", sk: "x" },
            ConditionExpression: "attribute_exists(pk)",
          },
        },
        { Delete: { TableName: table, Key: { pk: "cancelled", sk: "y" } } },
      ]);
      await expect(request).rejects.toMatchObject({
        name: "TransactionCanceledException",
        CancellationReasons: [
          { Code: "None" },
          { Code: "ConditionalCheckFailed", Item: { pk: { S: "cancelled" }, sk: { S: "stored" }, n: { N: "1" } } },
          { Code: "ConditionalCheckFailed" },
          { Code: "None" },
        ],
      });
      expect(await get("cancelled", "new")).toBeUndefined();
      expect(await get("cancelled", "stored")).toEqual({ pk: "cancelled", sk: "stored", n: 1 });
    });

    it("writes nothing when an update cannot be applied to the stored item", async () => {
      await put("unfit", "stored", { n: "text" });
      const outcome = await settle(
        transact([
          { Put: { TableName: table, Item: { pk: "unfit", sk: "new" } } },
          {
            Update: {
              TableName: table,
              Key: { pk: "unfit", sk: "stored" },
              UpdateExpression: "SET n = n + :one",
              ExpressionAttributeValues: { ":one": 1 },
            },
          },
        ]),
      );
      expect(outcome).toMatchObject(
        target().departsIn("transactedUpdateFault")
          ? { ok: false, error: "ValidationException" }
          : { ok: false, error: "TransactionCanceledException", reasons: ["None", "ValidationError"] },
      );
      expect(await get("unfit", "new")).toBeUndefined();
    });

    it("applies a repeated idempotency token once and refuses it for another request", async () => {
      const token = randomUUID();
      await transact([increment("token", "1")], token);
      await transact([increment("token", "1")], token);
      expect(await get("token", "1")).toMatchObject({ n: 1 });
      const other = await failureOf(transact([increment("token", "2")], token));
      expect(other).toBe("IdempotentParameterMismatchException");
      await transact([increment("token", "1")], randomUUID());
      expect(await get("token", "1")).toMatchObject({ n: 2 });
    });

    it("lets the token of a cancelled transaction be used again", async () => {
      const token = randomUUID();
      const request = () => transact([increment("again", "1", "attribute_exists(pk)")], token);
      expect(await failureOf(request())).toBe("TransactionCanceledException");
      await put("again", "1");
      await request();
      expect(await get("again", "1")).toEqual({ pk: "again", sk: "1", n: 1 });
    });

    it(`loses no update and invents none when ${RACERS} transactions race for one item`, async () => {
      await put("race", "hot", { n: 0 });
      const outcomes = await Promise.all(
        Array.from({ length: RACERS }, (_, racer) =>
          settle(transact([increment("race", "hot"), increment("race", `own-${racer}`)])),
        ),
      );
      const won = outcomes.filter((outcome) => outcome.ok).length;
      for (const outcome of outcomes) {
        if (outcome.ok) continue;
        expect(outcome.error).toBe("TransactionCanceledException");
        expect(outcome.reasons).toContain("TransactionConflict");
      }
      expect(won).toBeGreaterThan(0);
      expect(await get("race", "hot")).toMatchObject({ n: won });
      expect(await count("race")).toBe(won + 1);
    });

    it(`lets exactly one of ${RACERS} racing transactions on one version win`, async () => {
      await put("fold", "digest", { n: 0 });
      const fold = (racer: number) =>
        settle(
          transact([
            {
              Update: {
                TableName: table,
                Key: { pk: "fold", sk: "digest" },
                UpdateExpression: "SET n = n + :one",
                ConditionExpression: "n = :zero",
                ExpressionAttributeValues: { ":one": 1, ":zero": 0 },
              },
            },
            { Put: { TableName: table, Item: { pk: "fold", sk: `event-${racer}` } } },
          ]),
        );
      const outcomes = await Promise.all(Array.from({ length: RACERS }, (_, racer) => fold(racer)));
      expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
      expect(await get("fold", "digest")).toMatchObject({ n: 1 });
      expect(await count("fold")).toBe(2);
    });

    it(`takes ${MAX_ITEMS} items and refuses one more, none at all, and one item twice`, async () => {
      const puts = (pk: string, length: number): Items =>
        Array.from({ length }, (_, index) => ({ Put: { TableName: table, Item: { pk, sk: `${index}` } } }));
      await transact(puts("hundred", MAX_ITEMS));
      expect(await count("hundred")).toBe(MAX_ITEMS);
      expect(await failureOf(transact(puts("too-many", MAX_ITEMS + 1)))).toBe("ValidationException");
      expect(await failureOf(transact([]))).toBe("ValidationException");
      expect(await failureOf(transact([...puts("twice", 1), increment("twice", "0")]))).toBe("ValidationException");
      expect(await count("too-many")).toBe(0);
      expect(await count("twice")).toBe(0);
    });

    it("refuses more than 4 MB", async () => {
      const large = Array.from({ length: 11 }, (_, index) => ({
        Put: { TableName: table, Item: { pk: "large", sk: `${index}`, body: "x".repeat(399_000) } },
      }));
      expect(await failureOf(transact(large))).toBe("ValidationException");
      expect(await count("large")).toBe(0);
    });

    it("reads several items as one, with a gap for each that is missing", async () => {
      await put("read", "1");
      const { Responses } = await target().documents.send(
        new TransactGetCommand({
          TransactItems: ["1", "2"].map((sk) => ({ Get: { TableName: table, Key: { pk: "read", sk } } })),
        }),
      );
      expect(Responses?.map((response) => response.Item)).toEqual([{ pk: "read", sk: "1" }, undefined]);
    });
  });
}
