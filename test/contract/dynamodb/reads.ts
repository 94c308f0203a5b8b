import {
  BatchGetCommand,
  BatchWriteCommand,
  DeleteCommand,
  GetCommand,
  PutCommand,
  paginateQuery,
  paginateScan,
  QueryCommand,
  type QueryCommandInput,
  UpdateCommand,
} from "@aws-sdk/lib-dynamodb";
import { beforeAll, describe, expect, it } from "vitest";
import { createTable, failureOf, type Target } from "./target.ts";

const MIB = 1024 * 1024;
const MAX_ITEM_BYTES = 400 * 1024;

/** Queries, scans, indexes, pages, batches and the item size limit. */
export function describeReads(target: () => Target): void {
  describe("reads", () => {
    let table: string;
    beforeAll(async () => {
      table = await createTable(target());
    });

    const put = (Item: Record<string, unknown>) => target().documents.send(new PutCommand({ TableName: table, Item }));
    const queryKeys = async (input: Omit<QueryCommandInput, "TableName">) => {
      const { Items } = await target().documents.send(new QueryCommand({ TableName: table, ...input }));
      return (Items ?? []).map((item) => item.sk);
    };
    const ownedBy = (owner: string) => ({
      IndexName: "byOwner",
      KeyConditionExpression: "#owner = :owner",
      ExpressionAttributeNames: { "#owner": "owner" },
      ExpressionAttributeValues: { ":owner": owner },
    });
    const inPartition = (pk: string) => ({
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": pk },
    });

    it("sorts strings by their UTF-8 bytes and answers ranges, prefixes and the reverse", async () => {
      for (const sk of ["b", "a#2", "a#10", "a#1", "Z", "é", "\u{1f600}", "\uffee"]) await put({ pk: "sorted", sk });
      const sorted = ["Z", "a#1", "a#10", "a#2", "b", "é", "\uffee", "\u{1f600}"];
      expect(await queryKeys(inPartition("sorted"))).toEqual(sorted);
      expect(await queryKeys({ ...inPartition("sorted"), ScanIndexForward: false })).toEqual(sorted.toReversed());
      const range = (condition: string, values: Record<string, string>) =>
        queryKeys({
          KeyConditionExpression: `pk = :pk AND ${condition}`,
          ExpressionAttributeValues: { ":pk": "sorted", ...values },
        });
      expect(await range("begins_with(sk, :a)", { ":a": "a#1" })).toEqual(["a#1", "a#10"]);
      expect(await range("sk BETWEEN :a AND :b", { ":a": "a#10", ":b": "b" })).toEqual(["a#10", "a#2", "b"]);
      expect(await range("sk > :a", { ":a": "b" })).toEqual(["é", "\uffee", "\u{1f600}"]);
      expect(await range("sk <= :a", { ":a": "a#1" })).toEqual(["Z", "a#1"]);
    });

    it("goes on after a limit and counts what it looked at apart from what it returns", async () => {
      for (let index = 0; index < 5; index += 1) await put({ pk: "limited", sk: `${index}`, even: index % 2 === 0 });
      const page = (ExclusiveStartKey?: Record<string, unknown>) =>
        target().documents.send(
          new QueryCommand({
            TableName: table,
            KeyConditionExpression: "pk = :pk",
            FilterExpression: "even = :even",
            ExpressionAttributeValues: { ":pk": "limited", ":even": true },
            Limit: 2,
            ExclusiveStartKey,
          }),
        );
      const first = await page();
      expect(first).toMatchObject({ Count: 1, ScannedCount: 2, LastEvaluatedKey: { pk: "limited", sk: "1" } });
      const second = await page(first.LastEvaluatedKey);
      expect(second).toMatchObject({ Count: 1, ScannedCount: 2 });
      const third = await page(second.LastEvaluatedKey);
      expect(third).toMatchObject({ Count: 1, ScannedCount: 1 });
      expect(third.LastEvaluatedKey).toBeUndefined();
    });

    it("ends each page of a query, an index query and a scan at 1 MB and leaves no item out", async () => {
      const large = await createTable(target());
      const body = "x".repeat(100_000);
      const keys = Array.from({ length: 25 }, (_, index) => `${index + 100}`);
      for (const [index, sk] of keys.entries()) {
        await target().documents.send(
          new PutCommand({ TableName: large, Item: { pk: "p", sk, owner: "o", rank: index, body } }),
        );
      }
      const config = { client: target().documents };
      const pages = [
        paginateQuery(config, { TableName: large, ...inPartition("p") }),
        paginateQuery(config, { TableName: large, ...ownedBy("o") }),
        paginateScan(config, { TableName: large }),
      ];
      for (const paginator of pages) {
        const counts: number[] = [];
        const seen: unknown[] = [];
        for await (const page of paginator) {
          counts.push(page.Count ?? 0);
          seen.push(...(page.Items ?? []).map((item) => item.sk));
        }
        expect(seen.toSorted()).toEqual(keys);
        // AWS leaves open whether the item that crosses 1 MB still belongs to the page.
        expect(counts).toHaveLength(3);
        for (const count of counts) expect((count - 1) * body.length).toBeLessThan(MIB);
      }
    });

    it("holds exactly the items that have both index keys, and moves them as these change", async () => {
      const owned = (owner: string) => queryKeys(ownedBy(owner));
      const Key = { pk: "index", sk: "1" };
      const update = (UpdateExpression: string, values?: Record<string, unknown>) =>
        target().documents.send(
          new UpdateCommand({
            TableName: table,
            Key,
            UpdateExpression,
            ExpressionAttributeNames: { "#owner": "owner" },
            ...(values === undefined ? {} : { ExpressionAttributeValues: values }),
          }),
        );
      await put({ ...Key, owner: "ann" });
      expect(await owned("ann")).toEqual([]);
      await target().documents.send(
        new UpdateCommand({
          TableName: table,
          Key,
          UpdateExpression: "SET #rank = :rank",
          ExpressionAttributeNames: { "#rank": "rank" },
          ExpressionAttributeValues: { ":rank": 2 },
        }),
      );
      expect(await owned("ann")).toEqual(["1"]);
      await update("SET #owner = :owner", { ":owner": "bob" });
      expect([await owned("ann"), await owned("bob")]).toEqual([[], ["1"]]);
      await update("REMOVE #owner");
      expect(await owned("bob")).toEqual([]);
      await put({ ...Key, owner: "cat", rank: 1 });
      await target().documents.send(new DeleteCommand({ TableName: table, Key }));
      expect(await owned("cat")).toEqual([]);
    });

    it("sorts an index by number and continues it by all four keys", async () => {
      for (const rank of [10, -1, 9, 2.5]) await put({ pk: `rank${rank}`, sk: `${rank}`, owner: "sorted", rank });
      expect(await queryKeys(ownedBy("sorted"))).toEqual(["-1", "2.5", "9", "10"]);
      const { LastEvaluatedKey } = await target().documents.send(
        new QueryCommand({ TableName: table, ...ownedBy("sorted"), Limit: 2 }),
      );
      expect(LastEvaluatedKey).toEqual({ pk: "rank2.5", sk: "2.5", owner: "sorted", rank: 2.5 });
      expect(await queryKeys({ ...ownedBy("sorted"), ExclusiveStartKey: LastEvaluatedKey })).toEqual(["9", "10"]);
    });

    it("refuses a consistent read of an index and an index key of the wrong type or empty", async () => {
      const consistent = new QueryCommand({ TableName: table, ...ownedBy("x"), ConsistentRead: true });
      expect(await failureOf(target().documents.send(consistent))).toBe("ValidationException");
      for (const owner of [5, ""])
        expect(await failureOf(put({ pk: "bad", sk: "1", owner }))).toBe("ValidationException");
    });

    it("returns only what a projection names", async () => {
      await put({ pk: "projected", sk: "1", map: { a: 1, b: 2 }, list: [1, 2], other: true });
      const { Item } = await target().documents.send(
        new GetCommand({
          TableName: table,
          Key: { pk: "projected", sk: "1" },
          ProjectionExpression: "#map.a, #list[1]",
          ExpressionAttributeNames: { "#map": "map", "#list": "list" },
        }),
      );
      expect(Item).toEqual({ map: { a: 1 }, list: [2] });
    });

    it("reads a table in segments that together hold each item once", async () => {
      const parts = await createTable(target());
      const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
      for (const pk of keys) await target().documents.send(new PutCommand({ TableName: parts, Item: { pk, sk: "1" } }));
      const seen: unknown[] = [];
      for (let Segment = 0; Segment < 4; Segment += 1) {
        const pages = paginateScan({ client: target().documents }, { TableName: parts, Segment, TotalSegments: 4 });
        for await (const page of pages) seen.push(...(page.Items ?? []).map((item) => item.pk));
      }
      expect(seen.toSorted()).toEqual(keys.toSorted());
    });

    describeLimits(target, () => table);
  });
}

function describeLimits(target: () => Target, table: () => string): void {
  it("stores an item of 400 KB and refuses one byte more, put or updated", async () => {
    // Names count too: pk + a, sk + b, body.
    const put = (bytes: number) =>
      target().documents.send(
        new PutCommand({ TableName: table(), Item: { pk: "a", sk: "b", body: "x".repeat(bytes - 3 - 3 - 4) } }),
      );
    expect(await failureOf(put(MAX_ITEM_BYTES))).toBe("succeeded");
    expect(await failureOf(put(MAX_ITEM_BYTES + 1))).toBe("ValidationException");
    const grow = new UpdateCommand({
      TableName: table(),
      Key: { pk: "a", sk: "b" },
      UpdateExpression: "SET more = :more",
      ExpressionAttributeValues: { ":more": "x".repeat(100) },
    });
    expect(await failureOf(target().documents.send(grow))).toBe("ValidationException");
  });

  it("writes a batch of 25 with nothing left over, and refuses 26 and a key twice", async () => {
    const requests = (length: number) =>
      Array.from({ length }, (_, index) => ({ PutRequest: { Item: { pk: "batch", sk: `${index}` } } }));
    const write = (batch: ReturnType<typeof requests>) =>
      target().documents.send(new BatchWriteCommand({ RequestItems: { [table()]: batch } }));
    expect((await write(requests(25))).UnprocessedItems).toEqual({});
    expect(await failureOf(write(requests(26)))).toBe("ValidationException");
    expect(await failureOf(write([...requests(1), ...requests(1)]))).toBe("ValidationException");
  });

  it("reads a batch, leaves out what is missing, and refuses 101 keys and a key twice", async () => {
    const keys = (length: number) => Array.from({ length }, (_, index) => ({ pk: "batch-read", sk: `${index}` }));
    await target().documents.send(new PutCommand({ TableName: table(), Item: { pk: "batch-read", sk: "3" } }));
    const read = (Keys: ReturnType<typeof keys>) =>
      target().documents.send(new BatchGetCommand({ RequestItems: { [table()]: { Keys } } }));
    const answer = await read(keys(100));
    expect(answer.Responses?.[table()]).toEqual([{ pk: "batch-read", sk: "3" }]);
    expect(answer.UnprocessedKeys).toEqual({});
    expect(await failureOf(read(keys(101)))).toBe("ValidationException");
    expect(await failureOf(read([...keys(1), ...keys(1)]))).toBe("ValidationException");
  });

  it("hands back the keys of a batch read that exceeds 16 MB, for the next request", async () => {
    const name = await createTable(target());
    const Keys = Array.from({ length: 45 }, (_, index) => ({ pk: "p", sk: `${index}` }));
    const body = "x".repeat(390_000);
    for (const Key of Keys) await target().documents.send(new PutCommand({ TableName: name, Item: { ...Key, body } }));
    const seen = new Set<unknown>();
    let requests = 0;
    let pending: Record<string, { Keys?: Record<string, unknown>[] | undefined }> | undefined = { [name]: { Keys } };
    while (pending?.[name] !== undefined && requests < 5) {
      requests += 1;
      const answer: Awaited<ReturnType<typeof read>> = await read(pending[name].Keys ?? []);
      for (const item of answer.Responses?.[name] ?? []) seen.add(item.sk);
      pending = answer.UnprocessedKeys;
    }
    expect(seen.size).toBe(Keys.length);
    expect(requests).toBe(2);

    async function read(keys: Record<string, unknown>[]) {
      return target().documents.send(new BatchGetCommand({ RequestItems: { [name]: { Keys: keys } } }));
    }
  });
}
