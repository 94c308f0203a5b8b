import type { ObjectStore } from "../shared/clients/object-store.ts";
import type { Queue, QueueGauge } from "../shared/clients/queue.ts";
import type { SecretStore } from "../shared/clients/secret-store.ts";
import type { ConfiguredLimits } from "../shared/domain/limits.ts";
import type { Logger } from "../shared/log.ts";
import type { ClaimInputs } from "../shared/repository/claim-reads.ts";
import type { DeadLetterRepository } from "../shared/repository/dead-letters.ts";
import type { EventRepository } from "../shared/repository/events.ts";
import type { FleetEventRepository } from "../shared/repository/fleet-events.ts";
import type { FoldRepository } from "../shared/repository/fold.ts";
import type { ImageBlobRepository } from "../shared/repository/image-blobs.ts";
import type { JobRepository } from "../shared/repository/jobs.ts";
import type { TaskAddress } from "../shared/repository/move-task.ts";
import type { PoolRepository } from "../shared/repository/pools.ts";
import type { TaskRepository } from "../shared/repository/tasks.ts";
import type { TokenRepository } from "../shared/repository/tokens.ts";
import type { WorkerRepository } from "../shared/repository/workers.ts";

import type { ArtifactListReader } from "./artifact-lists.ts";
import type { GraphReader } from "./graph-reader.ts";
import type { LogContents } from "./log-contents.ts";
import type { JobGate } from "./operations/admission.ts";

/** A pool of workers: the queue its tasks wait in. */
export interface Pool {
  name: string;
  queueUrl: string;
  queue: Queue;
  gauge: QueueGauge;
  /** Of the queue of messages that were received too often. */
  deadLetterGauge: QueueGauge;
}

/** Everything the control plane works with. Built once per process by `buildDeps`. */
export interface Deps {
  jobs: JobRepository;
  tasks: TaskRepository;
  events: EventRepository;
  fold: FoldRepository;
  workers: WorkerRepository;
  /** What is known of pools, whether they are configured or not. */
  poolRecords: PoolRepository;
  fleetEvents: FleetEventRepository;
  tokens: TokenRepository;
  deadLetters: DeadLetterRepository;
  imageBlobs: ImageBlobRepository;
  readForClaims: (addresses: readonly TaskAddress[]) => Promise<ClaimInputs>;
  objects: ObjectStore;
  graphs: GraphReader;
  logContents: LogContents;
  artifactLists: ArtifactListReader;
  secrets: SecretStore;
  bucketName: string;
  pools: ReadonlyMap<string, Pool>;
  limits: ConfiguredLimits;
  /** Workers of an older version drain by themselves. */
  requiredWorkerVersion?: string | undefined;
  /** Keeps a pool from having too many jobs at once. */
  gate: JobGate;
  log: Logger;
  /** Milliseconds since the epoch: the control plane's clock, the only one that decides about leases. */
  now: () => number;
}
