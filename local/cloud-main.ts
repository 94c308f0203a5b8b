import { join } from "node:path";
import { createLogger } from "../shared/log.ts";
import { createS3Server } from "./s3/index.ts";
import { createSqsServer } from "./sqs/index.ts";
import { retryTakenPort } from "./stack/ports.ts";

/** What the supervisor hands over in `SLUICE_CLOUD` (JSON). */
export interface CloudSettings {
  dataDir: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  ports: { sqs?: number; s3?: number };
}

/** Where the servers listen. */
export interface CloudReady {
  sqs: { url: string; port: number };
  s3: { url: string; port: number };
}

const logger = createLogger("cloud");
const { dataDir, region, credentials, ports } = JSON.parse(process.env.SLUICE_CLOUD ?? "{}") as CloudSettings;

const [sqs, s3] = await Promise.all([
  retryTakenPort(() =>
    createSqsServer({
      dataDir: join(dataDir, "sqs"),
      region,
      credentials,
      logger,
      ...(ports.sqs ? { port: ports.sqs } : {}),
    }),
  ),
  retryTakenPort(() =>
    createS3Server({
      dataDir: join(dataDir, "s3"),
      region,
      credentials,
      logger,
      ...(ports.s3 ? { port: ports.s3 } : {}),
    }),
  ),
]);
const ready: CloudReady = { sqs: { url: sqs.url, port: sqs.port }, s3: { url: s3.url, port: s3.port } };
process.send?.({ ready });

// The parent is gone: nothing of the stack lives on without it. What was acknowledged is on disk.
process.on("disconnect", () => process.exit(1));
process.on("SIGINT", () => logger.debug("the supervisor decides when to end"));
process.on("SIGTERM", async () => {
  await Promise.all([sqs.close(), s3.close()]);
  process.exit(0);
});
