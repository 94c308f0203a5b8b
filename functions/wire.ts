import { Resource } from "sst/resource";
import { createS3Client } from "../shared/clients/object-store.ts";
import { createSqsClient } from "../shared/clients/queue.ts";
import { createLogger } from "../shared/log.ts";
import { createDynamoDbClient } from "../shared/repository/table.ts";
import { buildDeps } from "./build-deps.ts";
import type { Deps } from "./deps.ts";

/** Builds what one function process works with from the resources linked to it. */
export function wireDeps(service: string): Deps {
  // The link's own "type" stands beside the pools.
  const pools = Object.entries(Resource.Pools).filter(([name]) => name !== "type");
  return buildDeps({
    dynamoDb: createDynamoDbClient(),
    sqs: createSqsClient(),
    s3: createS3Client(),
    tableName: Resource.Table.name,
    bucketName: Resource.Bucket.name,
    queueUrls: Object.fromEntries(pools.map(([name, { queueUrl }]) => [name, queueUrl])),
    log: createLogger(service),
    now: Date.now,
  });
}
