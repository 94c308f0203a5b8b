import { availableParallelism } from "node:os";
import { createEcrClient } from "../shared/clients/ecr.ts";
import { createObjectStore, createS3Client } from "../shared/clients/object-store.ts";
import { createQueue, createSqsClient } from "../shared/clients/queue.ts";
import { createLogger, type Logger, openStdout } from "../shared/log.ts";
import type { WorkerConfig } from "./config.ts";
import { createControlPlaneClient } from "./control-plane-client.ts";
import { type LoadedConfig, loadConfig } from "./load-config.ts";
import { MaskedDestination } from "./masking/masked-destination.ts";
import { readStopTimeout } from "./service-manager.ts";
import { Worker } from "./worker.ts";

/** Reads the configuration of a worker in this process, on this machine. */
export async function loadConfigHere(env: Readonly<Record<string, string | undefined>>): Promise<LoadedConfig> {
  const stopTimeoutMs = await readStopTimeout(env);
  const host = { cores: availableParallelism(), cwd: process.cwd(), uid: process.getuid?.() ?? 0, stopTimeoutMs };
  return loadConfig({ env, host });
}

/** What a worker is opened with, beside its configuration. */
export interface OpenWorkerOptions extends Pick<LoadedConfig, "readToken"> {
  config: WorkerConfig;
  version: string;
  build: string | undefined;
  logLevel: string;
}

/** Makes a worker with its clients, which talk to nobody before it starts, and the log that it writes on stdout. */
export function openWorker(options: OpenWorkerOptions): { worker: Worker; log: Logger } {
  const { config, version, build, logLevel, readToken } = options;
  const maskedLog = new MaskedDestination(openStdout());
  const log = createLogger("worker", { level: logLevel, destination: maskedLog });
  const s3 = createS3Client();
  const worker = new Worker({
    config,
    version,
    build,
    client: createControlPlaneClient(config.controlPlaneUrl, config.token, readToken),
    openQueue: (queueUrl) => createQueue(createSqsClient(), queueUrl),
    openBucket: (bucket) => createObjectStore(s3, bucket),
    // The credentials of any client are those of this machine.
    ecr: config.ecr && createEcrClient({ credentials: s3.config.credentials, endpoint: config.ecr.endpoint }),
    log,
    maskedLog,
  });
  return { worker, log };
}
