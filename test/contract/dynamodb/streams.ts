import { DescribeTableCommand } from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type GetShardIteratorCommandInput,
  type _Record as StreamRecord,
} from "@aws-sdk/client-dynamodb-streams";
import { DeleteCommand, PutCommand, TransactWriteCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";
import { unmarshall } from "@aws-sdk/util-dynamodb";
import { describe, expect, it } from "vitest";
import { createTable, failureOf, type Target } from "./target.ts";

/** A stream's ARN and the shard that takes its records now. */
export type OpenShard = { readonly StreamArn: string; readonly ShardId: string };

/** Finds the newest shard of a table's stream. */
export async function findOpenShard(target: Pick<Target, "client" | "streams">, table: string): Promise<OpenShard> {
  const { Table } = await target.client.send(new DescribeTableCommand({ TableName: table }));
  const StreamArn = Table?.LatestStreamArn;
  const stream = await target.streams.send(new DescribeStreamCommand({ StreamArn }));
  const ShardId = stream.StreamDescription?.Shards?.at(-1)?.ShardId;
  if (StreamArn === undefined || ShardId === undefined) throw new Error(`table ${table} has no open shard`);
  return { StreamArn, ShardId };
}

/** Where to begin reading. */
export type StartPosition = Pick<GetShardIteratorCommandInput, "ShardIteratorType" | "SequenceNumber">;

/** Makes an iterator at a position of a shard. */
export async function openIterator(
  target: Pick<Target, "streams">,
  shard: OpenShard,
  start: StartPosition,
): Promise<string> {
  const { ShardIterator } = await target.streams.send(new GetShardIteratorCommand({ ...shard, ...start }));
  if (ShardIterator === undefined) throw new Error("no shard iterator was given");
  return ShardIterator;
}

/** Reads page by page until an empty one. */
export async function readRecords(
  target: Pick<Target, "streams">,
  iterator: string,
  limit = 1000,
): Promise<StreamRecord[]> {
  const records: StreamRecord[] = [];
  let next: string | undefined = iterator;
  while (next !== undefined) {
    const page: { Records?: StreamRecord[] | undefined; NextShardIterator?: string | undefined } =
      await target.streams.send(new GetRecordsCommand({ ShardIterator: next, Limit: limit }));
    if (page.Records === undefined || page.Records.length === 0) return records;
    expect(page.Records.length).toBeLessThanOrEqual(limit);
    records.push(...page.Records);
    next = page.NextShardIterator;
  }
  return records;
}

/** A record's kind and images as plain values. */
export function summarise(record: StreamRecord) {
  const image = (value: NonNullable<StreamRecord["dynamodb"]>["NewImage"]) =>
    value === undefined ? undefined : unmarshall(value as Parameters<typeof unmarshall>[0]);
  return [record.eventName, image(record.dynamodb?.OldImage), image(record.dynamodb?.NewImage)] as const;
}

const FROM_START: StartPosition = { ShardIteratorType: "TRIM_HORIZON" };

/** Streams: both images in order for each key, positions, limits, and what leaves no record. */
export function describeStreams(target: () => Target): void {
  describe("streams", () => {
    const put = (table: string, Item: Record<string, unknown>) =>
      target().documents.send(new PutCommand({ TableName: table, Item }));
    const readAll = async (table: string) =>
      readRecords(target(), await openIterator(target(), await findOpenShard(target(), table), FROM_START));

    it("tells each change of an item once, in order, with the images before and after", async () => {
      const table = await createTable(target());
      const Key = { pk: "a", sk: "1" };
      await put(table, { ...Key, n: 1 });
      await target().documents.send(
        new UpdateCommand({
          TableName: table,
          Key,
          UpdateExpression: "SET n = :n",
          ExpressionAttributeValues: { ":n": 2 },
        }),
      );
      await put(table, { ...Key, other: true });
      await target().documents.send(new DeleteCommand({ TableName: table, Key }));
      const records = await readAll(table);
      expect(records.map(summarise)).toEqual([
        ["INSERT", undefined, { ...Key, n: 1 }],
        ["MODIFY", { ...Key, n: 1 }, { ...Key, n: 2 }],
        ["MODIFY", { ...Key, n: 2 }, { ...Key, other: true }],
        ["REMOVE", { ...Key, other: true }, undefined],
      ]);
      expect(new Set(records.map((record) => record.eventID)).size).toBe(records.length);
      for (const record of records) {
        expect(record.dynamodb?.Keys).toEqual({ pk: { S: "a" }, sk: { S: "1" } });
        expect(record.dynamodb?.StreamViewType).toBe("NEW_AND_OLD_IMAGES");
        expect(record.dynamodb?.ApproximateCreationDateTime).toBeInstanceOf(Date);
      }
    });

    it("keeps each key's order under concurrent writers and loses nothing", async () => {
      const table = await createTable(target());
      const writeChain = async (pk: string) => {
        for (let n = 0; n < 20; n += 1) await put(table, { pk, sk: "1", n });
      };
      const keys = ["k0", "k1", "k2", "k3", "k4"];
      await Promise.all(keys.map(writeChain));
      const images = (await readAll(table)).map((record) => summarise(record)[2]);
      for (const pk of keys) {
        const order = images.filter((image) => image?.pk === pk).map((image) => image?.n);
        expect(order).toEqual(Array.from({ length: 20 }, (_, n) => n));
      }
    });

    it("tells every item of a transaction, and nothing of one that was cancelled", async () => {
      const table = await createTable(target());
      const items = ["1", "2", "3"].map((sk) => ({ Put: { TableName: table, Item: { pk: "t", sk } } }));
      await target().documents.send(new TransactWriteCommand({ TransactItems: items }));
      const condition = { ConditionExpression: "attribute_not_exists(pk)" };
      const cancelled = [
        { Put: { TableName: table, Item: { pk: "t", sk: "4" } } },
        { Put: { TableName: table, Item: { pk: "t", sk: "1" }, ...condition } },
      ];
      const failure = await failureOf(target().documents.send(new TransactWriteCommand({ TransactItems: cancelled })));
      expect(failure).toBe("TransactionCanceledException");
      const records = await readAll(table);
      expect(records.map((record) => record.eventName)).toEqual(["INSERT", "INSERT", "INSERT"]);
      expect(records.map((record) => record.dynamodb?.Keys?.sk?.S).toSorted()).toEqual(["1", "2", "3"]);
    });

    it("leaves no record of a failed condition or of a delete of nothing", async () => {
      const table = await createTable(target());
      await put(table, { pk: "a", sk: "1" });
      const refused = new PutCommand({
        TableName: table,
        Item: { pk: "a", sk: "1", n: 1 },
        ConditionExpression: "attribute_not_exists(pk)",
      });
      expect(await failureOf(target().documents.send(refused))).toBe("ConditionalCheckFailedException");
      await target().documents.send(new DeleteCommand({ TableName: table, Key: { pk: "b", sk: "1" } }));
      expect((await readAll(table)).map((record) => record.eventName)).toEqual(["INSERT"]);
    });

    it("tells a write that changes nothing as the table of differences says", async () => {
      const table = await createTable(target());
      await put(table, { pk: "a", sk: "1", n: 1 });
      await put(table, { pk: "a", sk: "1", n: 1 });
      const kinds = (await readAll(table)).map((record) => record.eventName);
      expect(kinds).toEqual(target().departsIn("unchangedWriteInStream") ? ["INSERT", "MODIFY"] : ["INSERT"]);
    });

    it("starts at, after and behind a record, and serves pages of the size asked for", async () => {
      const table = await createTable(target());
      for (let n = 0; n < 7; n += 1) await put(table, { pk: "a", sk: `${n}` });
      const shard = await findOpenShard(target(), table);
      const latest = await openIterator(target(), shard, { ShardIteratorType: "LATEST" });
      const all = await readRecords(target(), await openIterator(target(), shard, FROM_START), 2);
      expect(all).toHaveLength(7);
      const SequenceNumber = all[4]?.dynamodb?.SequenceNumber;
      const readFrom = async (ShardIteratorType: "AT_SEQUENCE_NUMBER" | "AFTER_SEQUENCE_NUMBER") =>
        readRecords(
          target(),
          await openIterator(target(), shard, { ShardIteratorType, SequenceNumber } as StartPosition),
        );
      expect((await readFrom("AT_SEQUENCE_NUMBER")).map(sortKey)).toEqual(["4", "5", "6"]);
      expect((await readFrom("AFTER_SEQUENCE_NUMBER")).map(sortKey)).toEqual(["5", "6"]);
      await put(table, { pk: "a", sk: "new" });
      expect((await readRecords(target(), latest)).map(sortKey)).toEqual(["new"]);
    });

    it("numbers records upwards, as numbers and not as text", async () => {
      const table = await createTable(target());
      for (let n = 0; n < 12; n += 1) await put(table, { pk: "a", sk: `${n}` });
      const numbers = (await readAll(table)).map((record) => BigInt(record.dynamodb?.SequenceNumber ?? "0"));
      expect(numbers).toHaveLength(12);
      for (const [index, number] of numbers.entries()) {
        if (index > 0) expect(number).toBeGreaterThan(numbers[index - 1] ?? 0n);
      }
    });

    it("describes an open shard as the table of differences says", async () => {
      const table = await createTable(target());
      await put(table, { pk: "a", sk: "1" });
      const { StreamArn } = await findOpenShard(target(), table);
      const { StreamDescription } = await target().streams.send(new DescribeStreamCommand({ StreamArn }));
      expect(StreamDescription?.StreamStatus).toBe("ENABLED");
      expect(StreamDescription?.Shards).toHaveLength(1);
      const end = StreamDescription?.Shards?.[0]?.SequenceNumberRange?.EndingSequenceNumber;
      expect(end !== undefined).toBe(target().departsIn("openShardHasEnd"));
    });
  });
}

function sortKey(record: StreamRecord): string | undefined {
  return record.dynamodb?.Keys?.sk?.S;
}
