import {
  DescribeStreamCommand,
  type DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import type { DynamoDBRecord } from "aws-lambda";

/** Reads a table's stream when asked, so that a test decides when a trigger sees what. */
export interface StreamReader {
  /** Records since the last read, in order. */
  readNew(): Promise<DynamoDBRecord[]>;
}

/** A reader of the one shard that the embedded server has. */
export function createStreamReader(client: DynamoDBStreamsClient, streamArn: string): StreamReader {
  let iterator: string | undefined;
  const open = async () => {
    const { StreamDescription } = await client.send(new DescribeStreamCommand({ StreamArn: streamArn }));
    const [shard] = StreamDescription?.Shards ?? [];
    if (shard?.ShardId === undefined) return undefined;
    const place = { StreamArn: streamArn, ShardId: shard.ShardId, ShardIteratorType: "TRIM_HORIZON" } as const;
    return (await client.send(new GetShardIteratorCommand(place))).ShardIterator;
  };
  return {
    async readNew() {
      const records: DynamoDBRecord[] = [];
      iterator ??= await open();
      while (iterator !== undefined) {
        const answer: { Records?: unknown[] | undefined; NextShardIterator?: string | undefined } = await client.send(
          new GetRecordsCommand({ ShardIterator: iterator, Limit: 1000 }),
        );
        iterator = answer.NextShardIterator;
        if (!answer.Records || answer.Records.length === 0) break;
        records.push(...(answer.Records as DynamoDBRecord[]));
      }
      return records;
    },
  };
}
