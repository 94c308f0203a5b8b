import { join } from "node:path";
import { createLogger } from "../shared/log.ts";
import { parseFaults } from "./aws/fault-config.ts";
import { startFaultProxy } from "./dynamodb/fault-proxy.ts";
import { createS3Server } from "./s3/index.ts";
import { createSqsServer } from "./sqs/index.ts";
import { retryTakenPort } from "./stack/ports.ts";

/** What the supervisor hands over in `SLUICE_CLOUD` (JSON). */
export interface CloudSettings {
  dataDir: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  /** Where the embedded DynamoDB listens. */
  dynamoDbUrl: string;
  ports: { sqs?: number; s3?: number; dynamoDbFaults?: number };
}

/** Where the servers listen. */
export interface CloudReady {
  sqs: { url: string; port: number };
  s3: { url: string; port: number };
  /** Present where DynamoDB is to be reached by way of the faults that are injected into it. */
  dynamoDbFaults?: { url: string; port: number };
}

const logger = createLogger("cloud");
const settings = JSON.parse(process.env.SLUICE_CLOUD ?? "{}") as CloudSettings;
const { dataDir, region, credentials, ports } = settings;
const parsed = parseFaults(process.env.SLUICE_FAULTS);
if (!parsed.ok) {
  const failed = parsed.problem;
  await new Promise((resolve) => (process.send ? process.send({ failed }, resolve) : resolve(undefined)));
  process.exit(2);
}
const { faults } = parsed;

const [sqs, s3, dynamoDbFaults] = await Promise.all([
  retryTakenPort(() =>
    createSqsServer({
      dataDir: join(dataDir, "sqs"),
      region,
      credentials,
      logger,
      faults: faults.sqs,
      ...(ports.sqs ? { port: ports.sqs } : {}),
    }),
  ),
  retryTakenPort(() =>
    createS3Server({
      dataDir: join(dataDir, "s3"),
      region,
      credentials,
      logger,
      faults: faults.s3,
      ...(ports.s3 ? { port: ports.s3 } : {}),
    }),
  ),
  faults.dynamodb.length === 0
    ? undefined
    : retryTakenPort(() =>
        startFaultProxy({
          target: new URL(settings.dynamoDbUrl),
          rules: faults.dynamodb,
          ...(ports.dynamoDbFaults ? { port: ports.dynamoDbFaults } : {}),
        }),
      ),
]);
const ready: CloudReady = {
  sqs: { url: sqs.url, port: sqs.port },
  s3: { url: s3.url, port: s3.port },
  ...(dynamoDbFaults ? { dynamoDbFaults: { url: dynamoDbFaults.url, port: dynamoDbFaults.port } } : {}),
};
process.send?.({ ready });

// The parent is gone: nothing of the stack lives on without it. What was acknowledged is on disk.
process.on("disconnect", () => process.exit(1));
process.on("SIGINT", () => logger.debug("the supervisor decides when to end"));
process.on("SIGTERM", async () => {
  await Promise.all([sqs.close(), s3.close(), dynamoDbFaults?.close()]);
  process.exit(0);
});
