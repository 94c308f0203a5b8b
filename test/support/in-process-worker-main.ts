import { createObjectStore, createS3Client } from "../../shared/clients/object-store.ts";
import { createQueue, createSqsClient } from "../../shared/clients/queue.ts";
import { createLogger, openStdout } from "../../shared/log.ts";
import { version } from "../../shared/version.ts";
import { parseConfig } from "../../workers/config.ts";
import { createControlPlaneClient } from "../../workers/control-plane-client.ts";
import { MaskedDestination } from "../../workers/masking/masked-destination.ts";
import { Worker } from "../../workers/worker.ts";
import { InProcessExecutor } from "./in-process-executor.ts";

// A worker as workers/main.ts makes it, but for its executor: its tasks run nothing.
const maskedLog = new MaskedDestination(openStdout());
const log = createLogger("worker", { level: process.env.LOG_LEVEL ?? "info", destination: maskedLog });
const parsed = parseConfig(process.env, { cores: 1, cwd: process.cwd() });
if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
const { config } = parsed;
const worker = new Worker({
  config,
  version,
  client: createControlPlaneClient(config.controlPlaneUrl, config.token),
  openQueue: (queueUrl) => createQueue(createSqsClient(), queueUrl),
  openBucket: (bucket) => createObjectStore(createS3Client(), bucket),
  executors: new Map([["process", new InProcessExecutor()]]),
  log,
  maskedLog,
});
process.on("SIGTERM", () => void worker.drain({ kind: "signal", signal: "SIGTERM" }));
if (await worker.start()) process.stdout.write(`{"ready":"${worker.workerId}"}\n`);
await worker.ended;
process.exit(0);
