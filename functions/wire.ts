import { Resource } from "sst/resource";
import { createObjectStore, createS3Client } from "../shared/clients/object-store.ts";
import { createQueue, createSqsClient } from "../shared/clients/queue.ts";
import { createLogger } from "../shared/log.ts";
import { createClaimReader } from "../shared/repository/claim-reads.ts";
import { createEventRepository } from "../shared/repository/events.ts";
import { createFoldRepository } from "../shared/repository/fold.ts";
import { createJobRepository } from "../shared/repository/jobs.ts";
import { createDynamoDbClient, createTable } from "../shared/repository/table.ts";
import { createTaskRepository } from "../shared/repository/tasks.ts";
import { createTokenRepository } from "../shared/repository/tokens.ts";
import { createWorkerRepository } from "../shared/repository/workers.ts";
import type { Deps } from "./deps.ts";

/** Builds the clients and repositories of one function process from the resources linked to it. */
export function wireDeps(service: string): Deps {
  const table = createTable(createDynamoDbClient(), Resource.Table.name);
  const sqs = createSqsClient();
  const pools = Object.entries(Resource.Pools)
    .filter(([name]) => name !== "type")
    .map(([name, { queueUrl }]) => [name, { name, queueUrl, queue: createQueue(sqs, queueUrl) }] as const);
  return {
    jobs: createJobRepository(table),
    tasks: createTaskRepository(table),
    events: createEventRepository(table),
    fold: createFoldRepository(table),
    workers: createWorkerRepository(table),
    tokens: createTokenRepository(table),
    readForClaims: createClaimReader(table),
    objects: createObjectStore(createS3Client(), Resource.Bucket.name),
    bucketName: Resource.Bucket.name,
    pools: new Map(pools),
    log: createLogger(service),
    now: Date.now,
  };
}
