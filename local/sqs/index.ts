/** The embedded SQS server: what a laptop uses instead of the cloud's queues. */
export type { SqsLogger } from "./engine.ts";
export { createSqsServer, type SqsServer, type SqsServerOptions } from "./server.ts";
