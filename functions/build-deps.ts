import { createObjectStore, type createS3Client } from "../shared/clients/object-store.ts";
import { createQueue, createQueueGauge, type createSqsClient } from "../shared/clients/queue.ts";
import { rememberSecrets } from "../shared/clients/remembering-secret-store.ts";
import type { SecretStore } from "../shared/clients/secret-store.ts";
import type { ConfiguredLimits } from "../shared/domain/limits.ts";
import { nameDeadLetterQueue } from "../shared/infrastructure/queues.ts";
import type { Logger } from "../shared/log.ts";
import { createClaimReader } from "../shared/repository/claim-reads.ts";
import { createDeadLetterRepository } from "../shared/repository/dead-letters.ts";
import { createEventRepository } from "../shared/repository/events.ts";
import { createFleetEventRepository } from "../shared/repository/fleet-events.ts";
import { createFoldRepository } from "../shared/repository/fold.ts";
import { createImageBlobRepository } from "../shared/repository/image-blobs.ts";
import { createJobRepository } from "../shared/repository/jobs.ts";
import { createPoolRepository } from "../shared/repository/pools.ts";
import { type createDynamoDbClient, createTable } from "../shared/repository/table.ts";
import { createTaskRepository } from "../shared/repository/tasks.ts";
import { createTokenRepository } from "../shared/repository/tokens.ts";
import { createWorkerRepository } from "../shared/repository/workers.ts";
import { createArtifactListReader } from "./artifact-lists.ts";
import type { Deps, Pool } from "./deps.ts";
import { createGraphReader } from "./graph-reader.ts";
import { createLogContents } from "./log-contents.ts";
import { createJobGate } from "./operations/admission.ts";

/** What the control plane is built on: its clients, the names of its resources, a logger and a clock. */
export interface DepsSources {
  dynamoDb: ReturnType<typeof createDynamoDbClient>;
  sqs: ReturnType<typeof createSqsClient>;
  s3: ReturnType<typeof createS3Client>;
  tableName: string;
  bucketName: string;
  secrets: SecretStore;
  /** URL of each pool's queue, by the pool's name. */
  queueUrls: Readonly<Record<string, string>>;
  limits: ConfiguredLimits;
  requiredWorkerVersion?: string | undefined;
  log: Logger;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Builds the repositories and stores of one function process. What they remember is theirs: no two processes share it. */
export function buildDeps(sources: DepsSources): Deps {
  const { dynamoDb, sqs, s3, tableName, bucketName, secrets, queueUrls, limits, log, now } = sources;
  const table = createTable(dynamoDb, tableName);
  const pools = Object.entries(queueUrls).map(([name, queueUrl]): [string, Pool] => {
    const queue = createQueue(sqs, queueUrl);
    const gauge = createQueueGauge(sqs, queueUrl);
    const deadLetterGauge = createQueueGauge(sqs, nameDeadLetterQueue(queueUrl));
    return [name, { name, queueUrl, queue, gauge, deadLetterGauge }];
  });
  const objects = createObjectStore(s3, bucketName);
  const jobs = createJobRepository(table);
  return {
    jobs,
    tasks: createTaskRepository(table),
    events: createEventRepository(table),
    fold: createFoldRepository(table),
    workers: createWorkerRepository(table),
    poolRecords: createPoolRepository(table),
    fleetEvents: createFleetEventRepository(table),
    tokens: createTokenRepository(table),
    deadLetters: createDeadLetterRepository(table),
    imageBlobs: createImageBlobRepository(table),
    readForClaims: createClaimReader(table),
    objects,
    graphs: createGraphReader(objects),
    logContents: createLogContents(objects),
    artifactLists: createArtifactListReader(objects, log),
    bucketName,
    secrets: rememberSecrets(secrets, now),
    pools: new Map(pools),
    limits,
    requiredWorkerVersion: sources.requiredWorkerVersion,
    gate: createJobGate(jobs, limits.jobsInFlight, now),
    log,
    now,
  };
}
