import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  ResourceInUseException,
  type TableDescription,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import {
  BucketAlreadyOwnedByYou,
  CreateBucketCommand,
  PutBucketLifecycleConfigurationCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  QueueNameExists,
  SetQueueAttributesCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { bucketLifecycle } from "../../shared/infrastructure/bucket.ts";
import {
  deadLetterQueueAttributes,
  failuresQueue,
  queueAttributes,
  queueNames,
  redrivePolicy,
} from "../../shared/infrastructure/queues.ts";
import { tableDefinition } from "../../shared/infrastructure/table.ts";

/**
 * Creates the table from its one definition, or adds the indexes that a table of an earlier version lacks; answers the
 * ARN of its stream.
 */
export async function provisionTable(client: DynamoDBClient, tableName: string): Promise<string> {
  const { partitionKey, sortKey, ttlAttribute, streamViewType, indexes } = tableDefinition;
  try {
    await client.send(
      new CreateTableCommand({
        TableName: tableName,
        BillingMode: "PAY_PER_REQUEST",
        AttributeDefinitions: defineAttributes(),
        KeySchema: keySchema(partitionKey, sortKey),
        GlobalSecondaryIndexes: Object.entries(indexes).map(([name, index]) => defineIndex(name, index)),
        StreamSpecification: { StreamEnabled: true, StreamViewType: streamViewType },
      }),
    );
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  await enableExpiry(client, tableName, ttlAttribute);
  const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName }));
  if (!Table?.LatestStreamArn) throw new Error(`the table ${tableName} has no stream`);
  await addMissingIndexes(client, tableName, Table);
  return Table.LatestStreamArn;
}

/** Looks first: a start that was cut off may have left a table without it, and asking twice is refused. */
async function enableExpiry(client: DynamoDBClient, TableName: string, AttributeName: string): Promise<void> {
  const { TimeToLiveDescription } = await client.send(new DescribeTimeToLiveCommand({ TableName }));
  if (TimeToLiveDescription?.TimeToLiveStatus === "ENABLED") return;
  const TimeToLiveSpecification = { AttributeName, Enabled: true };
  await client.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification }));
}

/** DynamoDB makes one index at a time, and fills it from what the table holds. */
async function addMissingIndexes(client: DynamoDBClient, tableName: string, table: TableDescription): Promise<void> {
  const present = new Set((table.GlobalSecondaryIndexes ?? []).map(({ IndexName }) => IndexName));
  for (const [name, index] of Object.entries(tableDefinition.indexes)) {
    if (present.has(name)) continue;
    await client.send(
      new UpdateTableCommand({
        TableName: tableName,
        AttributeDefinitions: defineAttributes(),
        GlobalSecondaryIndexUpdates: [{ Create: defineIndex(name, index) }],
      }),
    );
  }
}

function defineAttributes() {
  const { partitionKey, sortKey, indexes } = tableDefinition;
  const names = [partitionKey, sortKey, ...Object.values(indexes).flatMap((i) => [i.partitionKey, i.sortKey])];
  return names.map((AttributeName) => ({ AttributeName, AttributeType: "S" as const }));
}

function defineIndex(name: string, index: { partitionKey: string; sortKey: string }) {
  return {
    IndexName: name,
    KeySchema: keySchema(index.partitionKey, index.sortKey),
    Projection: { ProjectionType: "KEYS_ONLY" as const },
  };
}

function keySchema(hash: string, range: string) {
  return [
    { AttributeName: hash, KeyType: "HASH" as const },
    { AttributeName: range, KeyType: "RANGE" as const },
  ];
}

/** Creates the bucket, unless it exists, and gives it its lifecycle. */
export async function provisionBucket(client: S3Client, bucket: string): Promise<void> {
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    if (!(error instanceof BucketAlreadyOwnedByYou)) throw error;
  }
  const Rules = bucketLifecycle.map(({ id, prefix, tag, abortUploadDays, expireDays }) => ({
    ID: id,
    Status: "Enabled" as const,
    Filter:
      tag === undefined ? { Prefix: prefix } : { And: { Prefix: prefix, Tags: [{ Key: tag.key, Value: tag.value }] } },
    ...(abortUploadDays === undefined
      ? {}
      : { AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortUploadDays } }),
    ...(expireDays === undefined ? {} : { Expiration: { Days: expireDays } }),
  }));
  await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }));
}

/** A pool's queue and its dead-letter queue. */
export interface PoolQueues {
  queueUrl: string;
  deadLetters: { queueUrl: string; queueArn: string };
}

/**
 * Creates a pool's queue, its dead-letter queue and the stage's queue of failures; those that exist are set up like new
 * ones.
 */
export async function provisionPool(client: SQSClient, stage: string, pool: string): Promise<PoolQueues> {
  const names = queueNames(stage, pool);
  const failures = await provisionQueue(client, failuresQueue.name(stage), failuresQueue.attributes);
  const deadLetters = await provisionQueue(client, names.deadLetterQueue, deadLetterQueueAttributes, failures.queueArn);
  const { queueUrl } = await provisionQueue(client, names.queue, queueAttributes, deadLetters.queueArn);
  return { queueUrl, deadLetters };
}

async function provisionQueue(
  client: SQSClient,
  QueueName: string,
  attributes: Record<string, number>,
  deadLetterArn?: string,
): Promise<{ queueUrl: string; queueArn: string }> {
  const policy = deadLetterArn === undefined ? {} : { RedrivePolicy: JSON.stringify(redrivePolicy(deadLetterArn)) };
  const queueUrl = await createOrSetUpQueue(client, QueueName, { ...toStrings(attributes), ...policy });
  const answer = await client.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ["QueueArn"] }));
  return { queueUrl, queueArn: answer.Attributes?.QueueArn ?? "" };
}

async function createOrSetUpQueue(
  client: SQSClient,
  QueueName: string,
  Attributes: Record<string, string>,
): Promise<string> {
  try {
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName, Attributes }));
    return QueueUrl ?? "";
  } catch (error) {
    if (!(error instanceof QueueNameExists)) throw error;
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName }));
    await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }));
    return QueueUrl ?? "";
  }
}

function toStrings(attributes: Record<string, number>): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, String(value)]));
}
