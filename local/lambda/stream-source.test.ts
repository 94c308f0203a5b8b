import {
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import type { DynamoDBBatchResponse, DynamoDBRecord } from "aws-lambda";
import { afterEach, describe, expect, it } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { type CheckpointStore, createStreamSource, type StreamFunction, type StreamSource } from "./stream-source.ts";

/** A stream of one shard in memory; records are numbered from 1. */
function createStream() {
  const records: DynamoDBRecord[] = [];
  const calls = { getRecords: 0, describes: 0, failures: 0 };
  const client = {
    async send(command: unknown) {
      if (calls.failures > 0) {
        calls.failures -= 1;
        throw new Error("the stream is away");
      }
      if (command instanceof DescribeStreamCommand) {
        calls.describes += 1;
        return { StreamDescription: { Shards: [{ ShardId: "shard-1" }] } };
      }
      if (command instanceof GetShardIteratorCommand) {
        const { ShardIteratorType, SequenceNumber } = command.input;
        return { ShardIterator: ShardIteratorType === "TRIM_HORIZON" ? "0" : SequenceNumber };
      }
      if (command instanceof GetRecordsCommand) {
        calls.getRecords += 1;
        const from = Number(command.input.ShardIterator);
        const page = records.slice(from, from + 4);
        return { Records: page, NextShardIterator: String(from + page.length) };
      }
      throw new Error("not expected");
    },
  } as unknown as DynamoDBStreamsClient;
  const put = (kind: string) => {
    const sequence = String(records.length + 1);
    records.push({ eventName: "INSERT", dynamodb: { SequenceNumber: sequence, Keys: { kind: { S: kind } } } });
    return sequence;
  };
  return { client, put, calls };
}

function createCheckpoints(): CheckpointStore & { at(consumer: string): string | undefined } {
  const places = new Map<string, string>();
  return {
    get: (consumer, shard) => places.get(`${consumer} ${shard}`),
    set: (consumer, shard, sequence) => void places.set(`${consumer} ${shard}`, sequence),
    at: (consumer) => places.get(`${consumer} shard-1`),
  };
}

const noFailures: DynamoDBBatchResponse = { batchItemFailures: [] };
const sequencesOf = (records: DynamoDBRecord[]) => records.map((record) => record.dynamodb?.SequenceNumber ?? "");

let source: StreamSource | undefined;
afterEach(async () => {
  await source?.close();
  source = undefined;
});

function start(
  stream: ReturnType<typeof createStream>,
  checkpoints: CheckpointStore,
  fn: Partial<StreamFunction> & Pick<StreamFunction, "handler">,
): string[] {
  const lines: string[] = [];
  const log = createLogger("test", { destination: { write: (line) => void lines.push(line) } });
  const patterns = [{ dynamodb: { Keys: { kind: { S: ["wanted", "poison"] } } } }];
  const functions = [{ name: "fold", patterns, batchSize: 3, maximumRetryAttempts: 20, timeoutSeconds: 60, ...fn }];
  source = createStreamSource({ client: stream.client, streamArn: "arn", functions, checkpoints, log });
  return lines;
}

/** A handler that keeps what it was given, and a promise for when it has seen a record. */
function createCollector(answer: (sequences: string[]) => DynamoDBBatchResponse = () => noFailures) {
  const batches: string[][] = [];
  const waiting: { sequence: string; seen: () => void }[] = [];
  return {
    batches,
    handler: async ({ Records }: { Records: DynamoDBRecord[] }) => {
      const sequences = sequencesOf(Records);
      batches.push(sequences);
      const response = answer(sequences);
      setImmediate(() => {
        for (const { sequence, seen } of waiting) if (batches.some((batch) => batch.includes(sequence))) seen();
      });
      return response;
    },
    seen: (sequence: string) =>
      new Promise<void>((resolve) => {
        if (batches.some((batch) => batch.includes(sequence))) resolve();
        else waiting.push({ sequence, seen: resolve });
      }),
  };
}

describe("a stream source", () => {
  it("hands matching records over in order, in batches, and remembers how far it came", async () => {
    const stream = createStream();
    for (const kind of ["wanted", "other", "wanted", "wanted", "wanted", "wanted", "other", "wanted"]) stream.put(kind);
    const collector = createCollector();
    const checkpoints = createCheckpoints();
    start(stream, checkpoints, collector);
    await collector.seen("8");
    await source?.close();
    expect(collector.batches.flat()).toEqual(["1", "3", "4", "5", "6", "8"]);
    expect(collector.batches.every((batch) => batch.length <= 3)).toBe(true);
    expect(checkpoints.at("fold")).toBe("8");
  });

  it("goes on after its checkpoint, also over records that nobody wanted", async () => {
    const stream = createStream();
    const checkpoints = createCheckpoints();
    for (const kind of ["wanted", "other", "other"]) stream.put(kind);
    const first = createCollector();
    start(stream, checkpoints, first);
    await first.seen("1");
    await source?.close();
    expect(checkpoints.at("fold")).toBe("3");
    const second = createCollector();
    start(stream, checkpoints, second);
    await second.seen(stream.put("wanted"));
    expect(second.batches.flat()).toEqual(["4"]);
  });

  it("sees a new record at once when it is nudged", async () => {
    const stream = createStream();
    const collector = createCollector();
    start(stream, createCheckpoints(), collector);
    await collector.seen(stream.put("wanted"));
    const sequence = stream.put("wanted");
    source?.nudge();
    await collector.seen(sequence);
    expect(collector.batches.flat()).toEqual(["1", "2"]);
  });

  it("begins again at the first record that failed, and does not lose those before it", async () => {
    const stream = createStream();
    for (let count = 0; count < 3; count++) stream.put("wanted");
    let failures = 2;
    const collector = createCollector((sequences) =>
      sequences.includes("2") && failures-- > 0
        ? { batchItemFailures: [{ itemIdentifier: "3" }, { itemIdentifier: "2" }] }
        : noFailures,
    );
    const checkpoints = createCheckpoints();
    start(stream, checkpoints, collector);
    await collector.seen("3");
    while (checkpoints.at("fold") !== "3") await new Promise((resolve) => setImmediate(resolve));
    expect(collector.batches).toEqual([
      ["1", "2", "3"],
      ["2", "3"],
      ["2", "3"],
    ]);
  });

  it("gives up a record that fails for ever, says so, and goes on with the next", async () => {
    const stream = createStream();
    stream.put("wanted");
    const poison = stream.put("poison");
    const collector = createCollector((sequences) =>
      sequences.includes(poison) ? { batchItemFailures: [{ itemIdentifier: poison }] } : noFailures,
    );
    const checkpoints = createCheckpoints();
    const lines = start(stream, checkpoints, { ...collector, maximumRetryAttempts: 2 });
    await collector.seen(stream.put("wanted"));
    while (checkpoints.at("fold") !== "3") await new Promise((resolve) => setImmediate(resolve));
    expect(collector.batches.filter((batch) => batch.includes(poison))).toHaveLength(3);
    expect(collector.batches.at(-1)).toEqual(["3"]);
    expect(lines.join("")).toContain("given up");
  });

  it("tries a batch again whose function threw, or could not say what failed", async () => {
    const stream = createStream();
    stream.put("wanted");
    let calls = 0;
    const collector = createCollector((): DynamoDBBatchResponse => {
      calls += 1;
      if (calls === 1) throw new Error("out of memory");
      return calls === 2 ? { batchItemFailures: [{ itemIdentifier: "" }] } : noFailures;
    });
    const checkpoints = createCheckpoints();
    start(stream, checkpoints, collector);
    while (checkpoints.at("fold") !== "1") await new Promise((resolve) => setImmediate(resolve));
    expect(collector.batches).toEqual([["1"], ["1"], ["1"]]);
  });

  it("survives a stream that cannot be read for a while", async () => {
    const stream = createStream();
    stream.calls.failures = 3;
    const collector = createCollector();
    start(stream, createCheckpoints(), collector);
    await collector.seen(stream.put("wanted"));
    expect(collector.batches.flat()).toEqual(["1"]);
  });

  it("lets the call under way end before it is closed", async () => {
    const stream = createStream();
    stream.put("wanted");
    const begun = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    let ended = false;
    const handler = async () => {
      begun.resolve();
      await mayEnd.promise;
      ended = true;
      return noFailures;
    };
    start(stream, createCheckpoints(), { handler });
    await begun.promise;
    const closed = source?.close();
    mayEnd.resolve();
    await closed;
    expect(ended).toBe(true);
  });
});
