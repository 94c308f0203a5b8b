import { DeleteCommand, GetCommand, PutCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import { createTable, failureOf, settle, type Target } from "./target.ts";

const RACERS = 20;

/** Conditional writes: what holds, what fails, what a failure returns, and who wins a race. */
export function describeConditions(target: () => Target): void {
  describe("conditions", () => {
    let table: string;
    beforeAll(async () => {
      table = await createTable(target());
    });

    it("refuses a write whose condition is false and leaves the item as it was", async () => {
      const { documents } = target();
      const Key = { pk: "refused", sk: "1" };
      await documents.send(new PutCommand({ TableName: table, Item: { ...Key, version: 1 } }));
      const values = { ConditionExpression: "version = :seen", ExpressionAttributeValues: { ":seen": 2 } };
      const outcomes = await Promise.all([
        failureOf(documents.send(new PutCommand({ TableName: table, Item: { ...Key, version: 9 }, ...values }))),
        failureOf(documents.send(new DeleteCommand({ TableName: table, Key, ...values }))),
        failureOf(
          documents.send(new UpdateCommand({ TableName: table, Key, UpdateExpression: "REMOVE version", ...values })),
        ),
      ]);
      expect(outcomes).toEqual(Array.from({ length: 3 }, () => "ConditionalCheckFailedException"));
      const { Item } = await documents.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }));
      expect(Item).toEqual({ ...Key, version: 1 });
    });

    it("refuses a conditional delete or update of an item that does not exist, and creates none", async () => {
      const { documents } = target();
      const Key = { pk: "absent", sk: "1" };
      const condition = {
        ConditionExpression: "attribute_exists(pk)",
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
      } as const;
      const update = new UpdateCommand({ TableName: table, Key, UpdateExpression: "SET a = pk", ...condition });
      const remove = new DeleteCommand({ TableName: table, Key, ...condition });
      for (const outcome of [await settle(documents.send(update)), await settle(documents.send(remove))]) {
        expect(outcome).toMatchObject({ ok: false, error: "ConditionalCheckFailedException", item: undefined });
      }
      expect((await documents.send(new GetCommand({ TableName: table, Key }))).Item).toBeUndefined();
    });

    it("returns the item that failed a condition when ALL_OLD is asked for, and only then", async () => {
      const { documents } = target();
      const Key = { pk: "all-old", sk: "1" };
      const Item = { ...Key, state: "running", tags: ["a"], lease: { token: "t1" } };
      await documents.send(new PutCommand({ TableName: table, Item }));
      const refuse = (returned: "ALL_OLD" | "NONE") =>
        settle(
          documents.send(
            new UpdateCommand({
              TableName: table,
              Key,
              UpdateExpression: "SET lease.#token = :mine",
              ConditionExpression: "lease.#token = :mine",
              ExpressionAttributeNames: { "#token": "token" },
              ExpressionAttributeValues: { ":mine": "t2" },
              ReturnValuesOnConditionCheckFailure: returned,
            }),
          ),
        );
      expect(await refuse("ALL_OLD")).toMatchObject({ ok: false, item: Item });
      expect(await refuse("NONE")).toMatchObject({ ok: false, item: undefined });
    });

    it(`lets exactly one of ${RACERS} racing creations win`, async () => {
      const { documents } = target();
      const create = (writer: number) =>
        failureOf(
          documents.send(
            new PutCommand({
              TableName: table,
              Item: { pk: "race-create", sk: "1", writer },
              ConditionExpression: "attribute_not_exists(pk)",
            }),
          ),
        );
      const outcomes = await Promise.all(Array.from({ length: RACERS }, (_, writer) => create(writer)));
      expect(outcomes.filter((outcome) => outcome === "succeeded")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome === "ConditionalCheckFailedException")).toHaveLength(RACERS - 1);
      const { Item } = await documents.send(new GetCommand({ TableName: table, Key: { pk: "race-create", sk: "1" } }));
      expect(Item?.writer).toBe(outcomes.indexOf("succeeded"));
    });

    it(`lets exactly one of ${RACERS} racing updates of one version win, in each of five rounds`, async () => {
      const { documents } = target();
      const Key = { pk: "race-update", sk: "1" };
      await documents.send(new PutCommand({ TableName: table, Item: { ...Key, version: 0 } }));
      for (let version = 0; version < 5; version += 1) {
        const advance = () =>
          failureOf(
            documents.send(
              new UpdateCommand({
                TableName: table,
                Key,
                UpdateExpression: "SET version = version + :one",
                ConditionExpression: "version = :seen",
                ExpressionAttributeValues: { ":one": 1, ":seen": version },
              }),
            ),
          );
        const outcomes = await Promise.all(Array.from({ length: RACERS }, advance));
        expect(outcomes.filter((outcome) => outcome === "succeeded")).toHaveLength(1);
      }
      const { Item } = await documents.send(new GetCommand({ TableName: table, Key, ConsistentRead: true }));
      expect(Item).toEqual({ ...Key, version: 5 });
    });

    describeExpressions(target, () => table);
  });
}

const STORED = {
  n: 5,
  text: "text",
  list: [1, 2, 3],
  map: { inner: 1 },
  set: new Set(["x", "y"]),
  flag: true,
  nothing: null,
};

const HOLDS: readonly (readonly [expression: string, values: Record<string, unknown> | undefined])[] = [
  ["n > :a", { ":a": 4 }],
  ["n <> :a", { ":a": "5" }],
  ["absent <> :a", { ":a": 1 }],
  ["NOT absent = :a", { ":a": 1 }],
  ["n IN (:a, :b)", { ":a": 1, ":b": 5 }],
  ["n BETWEEN :a AND :b", { ":a": 5, ":b": 6 }],
  ["begins_with(#text, :a)", { ":a": "te" }],
  ["contains(#text, :a)", { ":a": "ex" }],
  ["contains(#list, :a)", { ":a": 2 }],
  ["contains(#set, :a)", { ":a": "x" }],
  ["size(#list) = :a", { ":a": 3 }],
  ["size(#text) > :a", { ":a": 3 }],
  ["#list[1] = :a", { ":a": 2 }],
  ["#map.#inner = :a", { ":a": 1 }],
  ["#list = :a", { ":a": [1, 2, 3] }],
  ["#set = :a", { ":a": new Set(["y", "x"]) }],
  ["attribute_type(#map, :a)", { ":a": "M" }],
  ["attribute_type(nothing, :a)", { ":a": "NULL" }],
  ["attribute_exists(#map.#inner) AND (n = :a OR flag = :b)", { ":a": 9, ":b": true }],
  ["attribute_not_exists(#map.beyond) AND attribute_not_exists(#list[7])", undefined],
];

const FAILS: readonly (readonly [expression: string, values: Record<string, unknown> | undefined])[] = [
  ["n > :a", { ":a": "4" }],
  ["n = :a", { ":a": "5" }],
  ["absent = :a", { ":a": 1 }],
  ["size(absent) >= :a", { ":a": 0 }],
  ["size(n) = :a", { ":a": 1 }],
  ["begins_with(n, :a)", { ":a": "5" }],
  ["#list[7] = :a", { ":a": 1 }],
  ["#map.absent = :a", { ":a": 1 }],
  ["NOT (n = :a OR flag = :b)", { ":a": 9, ":b": true }],
];

function describeExpressions(target: () => Target, table: () => string): void {
  const Key = { pk: "expressions", sk: "1" };
  const NAMES: Readonly<Record<string, string>> = {
    "#text": "text",
    "#list": "list",
    "#set": "set",
    "#map": "map",
    "#inner": "inner",
  };

  const evaluate = (expression: string, values: Record<string, unknown> | undefined) => {
    const names = Object.entries(NAMES).filter(([alias]) => new RegExp(`${alias}\\b`).test(expression));
    return failureOf(
      target().documents.send(
        new PutCommand({
          TableName: table(),
          Item: { ...Key, ...STORED },
          ConditionExpression: expression,
          ...(names.length === 0 ? {} : { ExpressionAttributeNames: Object.fromEntries(names) }),
          ...(values === undefined ? {} : { ExpressionAttributeValues: values }),
        }),
      ),
    );
  };

  describe("expressions", () => {
    beforeAll(async () => {
      await target().documents.send(new PutCommand({ TableName: table(), Item: { ...Key, ...STORED } }));
    });
    it.each(HOLDS)("finds %s true", async (expression, values) => {
      expect(await evaluate(expression, values)).toBe("succeeded");
    });
    it.each(FAILS)("finds %s false", async (expression, values) => {
      expect(await evaluate(expression, values)).toBe("ConditionalCheckFailedException");
    });

    it("refuses a reserved word and a range that runs backwards", async () => {
      const faults: [string, Record<string, unknown>][] = [
        ["state = :a", { ":a": 1 }],
        ["n BETWEEN :a AND :b", { ":a": 6, ":b": 5 }],
      ];
      for (const [expression, values] of faults) expect(await evaluate(expression, values)).toBe("ValidationException");
    });
    it("refuses a value that is missing or unused where the condition holds, else as the table of differences says", async () => {
      const faultyAt = async (n: number) => [
        await evaluate("n = :a AND flag = :b", { ":a": n }),
        await evaluate("n = :a", { ":a": n, ":unused": 1 }),
      ];
      expect(await faultyAt(STORED.n)).toEqual(["ValidationException", "ValidationException"]);
      const outcome = target().departsIn("faultBehindFalseCondition")
        ? "ConditionalCheckFailedException"
        : "ValidationException";
      expect(await faultyAt(STORED.n + 1)).toEqual([outcome, outcome]);
    });
    it("answers a comparison of a path with itself and an unknown type name as the table of differences says", async () => {
      const sameOperand = target().departsIn("sameOperandTwice") ? "succeeded" : "ValidationException";
      expect(await evaluate("n = n", undefined)).toBe(sameOperand);
      const unknownType = target().departsIn("unknownTypeName")
        ? "ConditionalCheckFailedException"
        : "ValidationException";
      expect(await evaluate("attribute_type(n, :a)", { ":a": "ZZ" })).toBe(unknownType);
    });
  });
}
