import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBStreamsClient } from "@aws-sdk/client-dynamodb-streams";
import { parseConfig } from "../functions/config.ts";
import { awsClientOptions, withoutCallLogging } from "../shared/clients/aws-options.ts";
import { PlainJsonProtocol } from "../shared/clients/plain-json.ts";
import { createSqsClient } from "../shared/clients/queue.ts";
import { functionLimits } from "../shared/infrastructure/functions.ts";
import { deadLetterConsumer } from "../shared/infrastructure/queues.ts";
import { schedules } from "../shared/infrastructure/schedules.ts";
import { streamConsumers, streamDelivery } from "../shared/infrastructure/table.ts";
import { createLogger } from "../shared/log.ts";
import { createFront } from "./console-files.ts";
import { sweepExpiredItems } from "./dynamodb/index.ts";
import { openCheckpoints } from "./lambda/checkpoints.ts";
import { createFunctionUrl, installStreamingRuntime } from "./lambda/http-function.ts";
import { loadFunctions } from "./lambda/load-functions.ts";
import { createQueueSource } from "./lambda/queue-source.ts";
import { startSchedules } from "./lambda/scheduler.ts";
import { createStreamSource } from "./lambda/stream-source.ts";
import { isPortTaken, retryTakenPort } from "./stack/ports.ts";

/** What the supervisor hands over in `SLUICE_FUNCTIONS` (JSON). */
export interface FunctionsSettings {
  port: number;
  tableName: string;
  streamArn: string;
  checkpointFile: string;
  /** The build of the console; without one its pages say so. */
  consoleFolder: string;
  deadLetterQueues: readonly { queueUrl: string; queueArn: string }[];
}

const expirySweepSeconds = 300;
const log = createLogger("functions");
const settings = JSON.parse(process.env.SLUICE_FUNCTIONS ?? "{}") as FunctionsSettings;

const parsed = parseConfig(process.env);
if (!parsed.ok) {
  const failed = parsed.problems.join("; ");
  await new Promise((resolve) => (process.send ? process.send({ failed }, resolve) : resolve(undefined)));
  process.exit(2);
}
// The functions are the very ones that are deployed; they find the runtime and their resources as they do there.
installStreamingRuntime();
const { api, fold, chores, deadLetters, sweep } = await loadFunctions(process.env.SLUICE_FUNCTIONS_BUNDLE);

const checkpoints = openCheckpoints(settings.checkpointFile);
const dynamoDb = new DynamoDBClient({});
const source = createStreamSource({
  client: withoutCallLogging(new DynamoDBStreamsClient({ ...awsClientOptions, protocol: PlainJsonProtocol })),
  streamArn: settings.streamArn,
  functions: [
    { name: "fold", ...streamDelivery, ...functionLimits.fold, patterns: streamConsumers.fold, handler: fold.handler },
    {
      name: "chores",
      ...streamDelivery,
      ...functionLimits.chores,
      patterns: streamConsumers.chores,
      handler: chores.handler,
    },
  ],
  checkpoints,
  log,
});
const queueSource = createQueueSource({
  client: createSqsClient(),
  functions: settings.deadLetterQueues.map((queue) => {
    return {
      name: "dead-letters",
      ...queue,
      ...deadLetterConsumer,
      ...functionLimits.deadLetters,
      handler: deadLetters.handler,
    };
  }),
  log,
});
const apiUrl = createFunctionUrl("api", api.handler as never, {
  onError: (error) => log.error({ err: error }, "the api function failed"),
  afterCall: source.nudge,
});
const server = createServer(createFront(apiUrl, settings.consoleFolder));
const scheduler = startSchedules(
  [
    { name: "sweep", ...schedules.sweep, ...functionLimits.sweep, handler: sweep.handler },
    {
      // The service does this by itself; the embedded one does not.
      name: "expiry",
      everySeconds: expirySweepSeconds,
      timeoutSeconds: expirySweepSeconds,
      handler: () => sweepExpiredItems(dynamoDb, settings.tableName, new Date()),
    },
  ],
  log,
);

try {
  await retryTakenPort(() => listen(server, settings.port));
  process.send?.({ ready: {} });
} catch (error) {
  if (!isPortTaken(error)) throw error;
  process.send?.({
    failed: `port ${settings.port} is taken by another program: stop that, or choose another with --port`,
  });
}

async function listen(target: Server, port: number): Promise<void> {
  target.listen(port, "127.0.0.1");
  await once(target, "listening");
}

async function close(): Promise<void> {
  server.close();
  server.closeAllConnections();
  await Promise.all([source.close(), queueSource.close(), scheduler.close()]);
  checkpoints.close();
  process.exit(0);
}

process.on("disconnect", () => process.exit(1));
process.on("SIGINT", () => log.debug("the supervisor decides when to end"));
process.on("SIGTERM", () => void close());
