import { randomUUID } from "node:crypto";
import {
  DeleteTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  ListTablesCommand,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import { GetCommand, PutCommand, ScanCommand } from "@aws-sdk/lib-dynamodb";
import { describe, expect, it } from "vitest";
import { sweepExpiredItems } from "../../../local/dynamodb/index.ts";
import { findOpenShard, openIterator, readRecords } from "./streams.ts";
import { createTable, failureOf, type Target } from "./target.ts";

const NOW = new Date("2030-01-01T00:00:00Z");
const NOW_SECONDS = NOW.getTime() / 1000;
const YEAR_SECONDS = 365 * 24 * 60 * 60;

/** Tables, faulty requests, time to live and the sweep that stands in for DynamoDB's own deletion. */
export function describeTables(target: () => Target): void {
  describe("tables", () => {
    it("creates, describes, lists and deletes a table", async () => {
      const { client } = target();
      const TableName = await createTable(target());
      const { Table } = await client.send(new DescribeTableCommand({ TableName }));
      expect(Table).toMatchObject({ TableStatus: "ACTIVE", BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" } });
      expect(Table?.GlobalSecondaryIndexes?.map((index) => [index.IndexName, index.IndexStatus])).toEqual([
        ["byOwner", "ACTIVE"],
      ]);
      expect(Table?.StreamSpecification).toEqual({ StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" });
      expect((await client.send(new ListTablesCommand({}))).TableNames).toContain(TableName);
      await client.send(new DeleteTableCommand({ TableName }));
      expect(await failureOf(client.send(new DescribeTableCommand({ TableName })))).toBe("ResourceNotFoundException");
    });

    it("names the fault of a request on a missing table, with an incomplete key or with an empty one", async () => {
      const { documents } = target();
      const table = await createTable(target());
      const get = (TableName: string, Key: Record<string, string>) =>
        failureOf(documents.send(new GetCommand({ TableName, Key })));
      expect(await get(`missing-${randomUUID()}`, { pk: "a", sk: "1" })).toBe("ResourceNotFoundException");
      expect(await get(table, { pk: "a" })).toBe("ValidationException");
      const empty = documents.send(new PutCommand({ TableName: table, Item: { pk: "", sk: "1" } }));
      expect(await failureOf(empty)).toBe("ValidationException");
      expect(await failureOf(createTable(target(), { TableName: table }))).toBe("ResourceInUseException");
    });
  });

  describe("time to live", () => {
    const createWithTtl = async () => {
      const TableName = await createTable(target());
      const enable = new UpdateTimeToLiveCommand({
        TableName,
        TimeToLiveSpecification: { Enabled: true, AttributeName: "expires" },
      });
      await target().client.send(enable);
      return { TableName, enable };
    };

    it("is described once enabled, and enabled again as the table of differences says", async () => {
      const { TableName, enable } = await createWithTtl();
      const answer = await target().client.send(new DescribeTimeToLiveCommand({ TableName }));
      expect(answer.TimeToLiveDescription).toEqual({ TimeToLiveStatus: "ENABLED", AttributeName: "expires" });
      const again = await failureOf(target().client.send(enable));
      expect(again).toBe(target().departsIn("ttlEnabledTwice") ? "succeeded" : "ValidationException");
    });

    it("sweeps what has expired, page by page, and leaves everything else", async () => {
      const { TableName } = await createWithTtl();
      const put = (sk: string, expires?: unknown) =>
        target().documents.send(
          new PutCommand({
            TableName,
            Item: { pk: "p", sk, body: "x".repeat(90_000), ...(expires === undefined ? {} : { expires }) },
          }),
        );
      for (let index = 0; index < 15; index += 1) await put(`expired-${index}`, NOW_SECONDS - index);
      const kept: [string, unknown?][] = [
        ["later", NOW_SECONDS + 1],
        ["never"],
        ["text", `${NOW_SECONDS - 5}`],
        ["ancient", NOW_SECONDS - 6 * YEAR_SECONDS],
      ];
      for (const [sk, expires] of kept) await put(sk, expires);
      const shard = await findOpenShard(target(), TableName);
      const latest = await openIterator(target(), shard, { ShardIteratorType: "LATEST" });
      expect(await sweepExpiredItems(target().client, TableName, NOW)).toEqual({ expired: 15, deleted: 15 });
      const left = await target().documents.send(new ScanCommand({ TableName, ProjectionExpression: "sk" }));
      expect(left.Items?.map((item) => item.sk).toSorted()).toEqual(["ancient", "later", "never", "text"]);
      const records = await readRecords(target(), latest);
      expect(records.map((record) => record.eventName)).toEqual(Array.from({ length: 15 }, () => "REMOVE"));
      expect(await sweepExpiredItems(target().client, TableName, NOW)).toEqual({ expired: 0, deleted: 0 });
    });

    it("keeps an item that is renewed between the look and the deletion", async () => {
      const { TableName } = await createWithTtl();
      const Key = { pk: "p", sk: "renewed" };
      await target().documents.send(new PutCommand({ TableName, Item: { ...Key, expires: NOW_SECONDS - 1 } }));
      const { client } = target();
      const renewing = Object.create(client, {
        send: {
          value: async (command: { constructor: { name: string } }) => {
            if (command.constructor.name === "DeleteItemCommand") {
              const Item = { ...Key, expires: NOW_SECONDS + 60 };
              await target().documents.send(new PutCommand({ TableName, Item }));
            }
            return client.send(command as never);
          },
        },
      });
      expect(await sweepExpiredItems(renewing, TableName, NOW)).toEqual({ expired: 1, deleted: 0 });
      const { Item } = await target().documents.send(new GetCommand({ TableName, Key }));
      expect(Item).toEqual({ ...Key, expires: NOW_SECONDS + 60 });
    });

    it("leaves a table without time to live alone", async () => {
      const TableName = await createTable(target());
      await target().documents.send(new PutCommand({ TableName, Item: { pk: "p", sk: "1", expires: 1 } }));
      expect(await sweepExpiredItems(target().client, TableName, NOW)).toEqual({ expired: 0, deleted: 0 });
    });
  });
}
