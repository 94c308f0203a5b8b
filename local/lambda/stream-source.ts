import { setTimeout as sleep } from "node:timers/promises";
import {
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type Shard,
  TrimmedDataAccessException,
} from "@aws-sdk/client-dynamodb-streams";
import type { Context, DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import type { Logger } from "../../shared/log.ts";
import { createLambdaContext } from "./context.ts";
import { type EventPattern, matchesAnyPattern } from "./event-filter.ts";

const functionTimeoutMs = 60_000;
const idlePollMs = 1_000;
const shardPollMs = 10_000;
const firstRetryMs = 100;
const longestRetryMs = 5_000;

/** Where a consumer stands in each shard: the last sequence number it has worked off. Survives restarts. */
export interface CheckpointStore {
  get(consumer: string, shardId: string): string | undefined;
  set(consumer: string, shardId: string, sequenceNumber: string): void;
}

/** A function that a table's stream is mapped to. */
export interface StreamFunction {
  name: string;
  patterns: readonly EventPattern[];
  batchSize: number;
  handler: (event: DynamoDBStreamEvent, context: Context) => Promise<DynamoDBBatchResponse>;
}

/** Reads a table's stream and calls functions with its records, as Lambda's event source mapping does. */
export interface StreamSource {
  /** Something was written: read at once instead of at the next poll. */
  nudge(): void;
  /** Resolves when the calls under way are done. */
  close(): Promise<void>;
}

interface SourceOptions {
  client: DynamoDBStreamsClient;
  streamArn: string;
  functions: readonly StreamFunction[];
  checkpoints: CheckpointStore;
  log: Logger;
}

/** Starts a reader for each function and shard: in order within a shard, and no further than its function came. */
export function createStreamSource(options: SourceOptions): StreamSource {
  const stopping = new AbortController();
  const bell = createBell();
  const readers = new Map<string, Promise<void>>();
  const watchShards = async () => {
    while (!stopping.signal.aborted) {
      try {
        for (const shard of await listShards(options)) {
          for (const fn of options.functions) {
            const name = `${fn.name} ${shard.ShardId}`;
            if (!readers.has(name))
              readers.set(name, readShard(options, fn, shard.ShardId ?? "", bell, stopping.signal));
          }
        }
      } catch (error) {
        if (!stopping.signal.aborted)
          options.log.warn({ err: error }, "the table's stream cannot be described; trying again");
      }
      await pause(readers.size === 0 ? firstRetryMs : shardPollMs, stopping.signal);
    }
  };
  const watching = watchShards();
  return {
    nudge: bell.ring,
    async close() {
      stopping.abort();
      bell.ring();
      await watching;
      await Promise.all(readers.values());
    },
  };
}

async function listShards({ client, streamArn }: SourceOptions): Promise<Shard[]> {
  const shards: Shard[] = [];
  let after: string | undefined;
  do {
    const answer = await client.send(
      new DescribeStreamCommand({ StreamArn: streamArn, ...(after ? { ExclusiveStartShardId: after } : {}) }),
    );
    shards.push(...(answer.StreamDescription?.Shards ?? []));
    after = answer.StreamDescription?.LastEvaluatedShardId;
  } while (after);
  return shards;
}

async function readShard(
  options: SourceOptions,
  fn: StreamFunction,
  shardId: string,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  let iterator: string | undefined;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const heard = bell.count();
      iterator ??= await openIterator(options, fn, shardId);
      if (iterator === undefined) return;
      const answer = await options.client.send(new GetRecordsCommand({ ShardIterator: iterator, Limit: 1000 }));
      const records = (answer.Records ?? []) as unknown as DynamoDBRecord[];
      await deliver(options, fn, shardId, records);
      iterator = answer.NextShardIterator;
      failures = 0;
      if (iterator === undefined) return;
      if (records.length === 0) await bell.waitBeyond(heard, idlePollMs);
    } catch (error) {
      if (signal.aborted) return;
      iterator = undefined;
      failures += 1;
      options.log.warn({ err: error, consumer: fn.name }, "reading the table's stream failed; trying again");
      await pause(Math.min(longestRetryMs, firstRetryMs * 2 ** failures), signal);
    }
  }
}

async function openIterator({ client, streamArn, checkpoints }: SourceOptions, fn: StreamFunction, shardId: string) {
  const checkpoint = checkpoints.get(fn.name, shardId);
  const base = { StreamArn: streamArn, ShardId: shardId };
  const fromStart = new GetShardIteratorCommand({ ...base, ShardIteratorType: "TRIM_HORIZON" });
  if (checkpoint === undefined) return (await client.send(fromStart)).ShardIterator;
  try {
    const after = { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: checkpoint } as const;
    return (await client.send(new GetShardIteratorCommand({ ...base, ...after }))).ShardIterator;
  } catch (error) {
    if (!(error instanceof TrimmedDataAccessException)) throw error;
    return (await client.send(fromStart)).ShardIterator;
  }
}

/** Hands the matching records to the function in batches; a batch that fails stops the shard until it succeeds. */
async function deliver(options: SourceOptions, fn: StreamFunction, shardId: string, records: DynamoDBRecord[]) {
  const wanted = records.filter((record) => matchesAnyPattern(fn.patterns, record));
  for (let start = 0; start < wanted.length; ) {
    const batch = wanted.slice(start, start + fn.batchSize);
    const { batchItemFailures } = await fn.handler({ Records: batch }, createLambdaContext(fn.name, functionTimeoutMs));
    const failed = batchItemFailures[0]?.itemIdentifier;
    if (failed !== undefined) {
      const failedAt = batch.findIndex((record) => record.dynamodb?.SequenceNumber === failed);
      const before = batch[failedAt - 1]?.dynamodb?.SequenceNumber;
      if (before !== undefined) options.checkpoints.set(fn.name, shardId, before);
      throw new Error(`the function ${fn.name} could not work off record ${failed}`);
    }
    const last = batch.at(-1)?.dynamodb?.SequenceNumber;
    if (last !== undefined) options.checkpoints.set(fn.name, shardId, last);
    start += batch.length;
  }
  const last = records.at(-1)?.dynamodb?.SequenceNumber;
  if (last !== undefined) options.checkpoints.set(fn.name, shardId, last);
}

/** Wakes waiting readers. A ring between a reader's look and its wait is not missed: it counts rings. */
interface Bell {
  ring(): void;
  count(): number;
  waitBeyond(count: number, timeoutMs: number): Promise<void>;
}

function createBell(): Bell {
  let rings = 0;
  const waiting = new Set<() => void>();
  return {
    ring() {
      rings += 1;
      for (const wake of [...waiting]) wake();
    },
    count: () => rings,
    waitBeyond: (count, timeoutMs) =>
      new Promise((resolve) => {
        if (rings > count) return resolve();
        const wake = () => {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, timeoutMs);
        waiting.add(wake);
      }),
  };
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
}
