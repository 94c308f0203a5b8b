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
import { createBell, pause } from "./bell.ts";
import { createLambdaContext } from "./context.ts";
import { type EventPattern, matchesAnyPattern } from "./event-filter.ts";

const idlePollMs = 1_000;
const shardPollMs = 10_000;
const firstRetryMs = 100;
const longestRetryMs = 5_000;
/** Records of one read: each carries two images, and the embedded server puts no bound on the bytes of a page. */
const recordsPerRead = 200;
/**
 * After a read that brought records the next one waits, the longer the more there were: on a busy table, functions are
 * called a few times a second with many records each, as the service does it. A lone change is not held up.
 */
const pauseMsPerRecord = 2;
const longestReadPauseMs = 100;
/** Matching records that may wait for a slow function; beyond it the shard is not read on. */
const waitingRecords = 5_000;

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
  /** A record that was said to have failed so often after the first time is given up; the sweep finds what it told. */
  maximumRetryAttempts: number;
  /** Time of one call; a call is not ended, but its function sees how much is left. */
  timeoutSeconds: number;
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

/**
 * Starts a reader for each shard. What it reads is handed to each function in order, in batches, and at the function's
 * own pace: one that is slow or fails does not hold up the others.
 */
export function createStreamSource(options: SourceOptions): StreamSource {
  const stopping = new AbortController();
  const { signal } = stopping;
  const bell = createBell();
  const readers = new Map<string, Promise<void>>();
  const watchShards = async () => {
    while (!signal.aborted) {
      try {
        for (const { ShardId: shardId } of await listShards(options)) {
          if (shardId && !readers.has(shardId)) readers.set(shardId, readShard(options, shardId, bell, signal));
        }
      } catch (error) {
        if (signal.aborted) return;
        options.log.warn({ err: error }, "the table's stream cannot be described; trying again");
      }
      await pause(readers.size === 0 ? firstRetryMs : shardPollMs, signal);
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
  shardId: string,
  bell: ReturnType<typeof createBell>,
  signal: AbortSignal,
): Promise<void> {
  const lines = options.functions.map((fn) => createLine(options, fn, shardId, signal));
  let position = findStart(options, shardId);
  let iterator: string | undefined;
  for (let failures = 0; !signal.aborted; ) {
    try {
      const heard = bell.count();
      iterator ??= await openIterator(options, shardId, position);
      if (iterator === undefined) break;
      const answer = await options.client.send(
        new GetRecordsCommand({ ShardIterator: iterator, Limit: recordsPerRead }),
      );
      const records = (answer.Records ?? []) as unknown as DynamoDBRecord[];
      for (const line of lines) line.push(records);
      position = records.at(-1)?.dynamodb?.SequenceNumber ?? position;
      iterator = answer.NextShardIterator;
      failures = 0;
      if (iterator === undefined) break;
      if (records.length === 0) await bell.waitBeyond(heard, idlePollMs);
      else if (records.length < recordsPerRead) await pause(readPauseMs(records.length), signal);
      await Promise.all(lines.map((line) => line.waitForRoom()));
    } catch (error) {
      if (signal.aborted) break;
      iterator = undefined;
      failures += 1;
      options.log.warn({ err: error, shardId }, "reading the table's stream failed; trying again");
      await pause(Math.min(longestRetryMs, firstRetryMs * 2 ** failures), signal);
    }
  }
  await Promise.all(lines.map((line) => line.end()));
}

function readPauseMs(records: number): number {
  return Math.min(longestReadPauseMs, records * pauseMsPerRecord);
}

/** The place of the function that is furthest behind; undefined = from the oldest record. */
function findStart({ functions, checkpoints }: SourceOptions, shardId: string): string | undefined {
  const places = functions.map((fn) => checkpoints.get(fn.name, shardId));
  return places.reduce((lowest, place) =>
    lowest === undefined || place === undefined ? undefined : earlier(lowest, place),
  );
}

function earlier(a: string, b: string): string {
  return BigInt(a) < BigInt(b) ? a : b;
}

async function openIterator({ client, streamArn }: SourceOptions, shardId: string, position: string | undefined) {
  const base = { StreamArn: streamArn, ShardId: shardId };
  const fromStart = new GetShardIteratorCommand({ ...base, ShardIteratorType: "TRIM_HORIZON" });
  if (position === undefined) return (await client.send(fromStart)).ShardIterator;
  try {
    const after = { ShardIteratorType: "AFTER_SEQUENCE_NUMBER", SequenceNumber: position } as const;
    return (await client.send(new GetShardIteratorCommand({ ...base, ...after }))).ShardIterator;
  } catch (error) {
    if (!(error instanceof TrimmedDataAccessException)) throw error;
    return (await client.send(fromStart)).ShardIterator;
  }
}

/** The records of one shard on their way to one function. */
interface Line {
  push(records: readonly DynamoDBRecord[]): void;
  waitForRoom(): Promise<void>;
  /** Resolves when the call under way is done; what waits is delivered after the next start. */
  end(): Promise<void>;
}

function createLine(options: SourceOptions, fn: StreamFunction, shardId: string, signal: AbortSignal): Line {
  const waiting: DynamoDBRecord[] = [];
  const worked = createBell();
  let lastSeen: string | undefined;
  let delivering: Promise<void> | undefined;
  const done = options.checkpoints.get(fn.name, shardId);
  const isNew = (record: DynamoDBRecord) =>
    done === undefined || BigInt(record.dynamodb?.SequenceNumber ?? "0") > BigInt(done);
  const deliver = async () => {
    let stuckAt: { sequence: string; retries: number } | undefined;
    for (let failures = 0; waiting.length > 0 && !signal.aborted; ) {
      const batch = waiting.slice(0, fn.batchSize);
      const call = await callFunction(options, fn, batch);
      let { finished } = call;
      if (call.failed !== undefined) {
        stuckAt = { sequence: call.failed, retries: stuckAt?.sequence === call.failed ? stuckAt.retries + 1 : 0 };
        if (stuckAt.retries >= fn.maximumRetryAttempts) {
          options.log.error({ function: fn.name, failed: call.failed }, "a record was given up; the sweep takes over");
          finished += 1;
        }
      }
      const last = batch[finished - 1]?.dynamodb?.SequenceNumber;
      waiting.splice(0, finished);
      if (last !== undefined) options.checkpoints.set(fn.name, shardId, last);
      worked.ring();
      failures = finished === batch.length ? 0 : failures + 1;
      if (failures > 0) await pause(Math.min(longestRetryMs, firstRetryMs * 2 ** failures), signal);
    }
  };
  /** Everything read so far was worked off or is not for this function. */
  const noteIdle = () => {
    if (waiting.length === 0 && lastSeen !== undefined) options.checkpoints.set(fn.name, shardId, lastSeen);
  };
  const start = () => {
    if (waiting.length === 0) return noteIdle();
    delivering ??= deliver().finally(() => {
      delivering = undefined;
      if (!signal.aborted) start();
    });
  };
  return {
    push(records) {
      lastSeen = records.at(-1)?.dynamodb?.SequenceNumber ?? lastSeen;
      waiting.push(...records.filter((record) => isNew(record) && matchesAnyPattern(fn.patterns, record)));
      start();
    },
    async waitForRoom() {
      while (waiting.length > waitingRecords && !signal.aborted) await worked.waitBeyond(worked.count(), idlePollMs);
    },
    end: async () => delivering,
  };
}

/**
 * Calls the function with a batch. `finished`: how many of its records, from the first on, it has worked off; `failed`:
 * the first it says it could not.
 */
async function callFunction(
  { log }: SourceOptions,
  fn: StreamFunction,
  batch: DynamoDBRecord[],
): Promise<{ finished: number; failed?: string }> {
  try {
    const answer = await fn.handler({ Records: batch }, createLambdaContext(fn.name, fn.timeoutSeconds * 1000));
    if (answer.batchItemFailures.length === 0) return { finished: batch.length };
    const failures = new Set(answer.batchItemFailures.map((failure) => failure.itemIdentifier));
    const failedAt = batch.findIndex((record) => failures.has(record.dynamodb?.SequenceNumber ?? ""));
    const failed = batch[failedAt]?.dynamodb?.SequenceNumber;
    log.warn({ function: fn.name, failed }, "a stream function left records; calling it with them again");
    return failed === undefined ? { finished: 0 } : { finished: failedAt, failed };
  } catch (error) {
    log.warn({ err: error, function: fn.name }, "a stream function failed; calling it with the same records again");
    return { finished: 0 };
  }
}
