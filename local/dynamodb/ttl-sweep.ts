import {
  type AttributeValue,
  ConditionalCheckFailedException,
  DeleteItemCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  paginateScan,
} from "@aws-sdk/client-dynamodb";

/** What one sweep over a table saw and removed. */
export type SweepResult = { readonly expired: number; readonly deleted: number };

/** DynamoDB leaves items alone whose time ran out more than five years ago, lest a value in another unit wipes a table. */
const OLDEST_EXPIRY_SECONDS = 5 * 365 * 24 * 60 * 60;

/**
 * dynoxide answers one request at a time, and a full page of 1 MB takes it hundreds of milliseconds; pages of this size
 * let others in between after some ten, and are read faster altogether.
 */
const SCAN_PAGE_ITEMS = 500;

/**
 * Deletes the items of a table whose TTL attribute (Unix seconds) has passed, as DynamoDB does in the background and
 * dynoxide does not. Each delete is conditional on the expiry that was read, so an item renewed meanwhile stays.
 * A table without TTL is left alone. Reads the whole table: run it every few minutes, not every second.
 */
export async function sweepExpiredItems(client: DynamoDBClient, tableName: string, now: Date): Promise<SweepResult> {
  const ttlAttribute = await findTtlAttribute(client, tableName);
  if (ttlAttribute === undefined) return { expired: 0, deleted: 0 };
  const keyNames = await findKeyNames(client, tableName);
  const nowSeconds = Math.floor(now.getTime() / 1000);
  const pages = paginateScan(
    { client, pageSize: SCAN_PAGE_ITEMS },
    {
      TableName: tableName,
      FilterExpression: "attribute_type(#ttl, :number) AND #ttl BETWEEN :oldest AND :now",
      ProjectionExpression: ["#ttl", ...keyNames.map((_, index) => `#key${index}`)].join(", "),
      ExpressionAttributeNames: {
        "#ttl": ttlAttribute,
        ...Object.fromEntries(keyNames.map((name, index) => [`#key${index}`, name])),
      },
      ExpressionAttributeValues: {
        ":number": { S: "N" },
        ":oldest": { N: `${nowSeconds - OLDEST_EXPIRY_SECONDS}` },
        ":now": { N: `${nowSeconds}` },
      },
    },
  );
  let expired = 0;
  let deleted = 0;
  for await (const page of pages) {
    for (const item of page.Items ?? []) {
      expired += 1;
      if (await deleteExpired(client, tableName, keyNames, ttlAttribute, item)) deleted += 1;
    }
  }
  return { expired, deleted };
}

async function findTtlAttribute(client: DynamoDBClient, tableName: string): Promise<string | undefined> {
  const answer = await client.send(new DescribeTimeToLiveCommand({ TableName: tableName }));
  const description = answer.TimeToLiveDescription;
  return description?.TimeToLiveStatus === "ENABLED" ? description.AttributeName : undefined;
}

async function findKeyNames(client: DynamoDBClient, tableName: string): Promise<readonly string[]> {
  const answer = await client.send(new DescribeTableCommand({ TableName: tableName }));
  const names = (answer.Table?.KeySchema ?? []).flatMap((element) => element.AttributeName ?? []);
  if (names.length === 0) throw new Error(`table ${tableName} has no key schema`);
  return names;
}

async function deleteExpired(
  client: DynamoDBClient,
  tableName: string,
  keyNames: readonly string[],
  ttlAttribute: string,
  item: Record<string, AttributeValue>,
): Promise<boolean> {
  const expiry = item[ttlAttribute];
  if (expiry === undefined) return false;
  const key = Object.fromEntries(Object.entries(item).filter(([name]) => keyNames.includes(name)));
  try {
    await client.send(
      new DeleteItemCommand({
        TableName: tableName,
        Key: key,
        ConditionExpression: "#ttl = :seen",
        ExpressionAttributeNames: { "#ttl": ttlAttribute },
        ExpressionAttributeValues: { ":seen": expiry },
      }),
    );
    return true;
  } catch (error) {
    // Renewed or deleted by somebody else since the scan: nothing left to do here.
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}
