/** The embedded SQS server: what a laptop uses instead of the cloud's queues. */
export { createSqsServer, type SqsServer, type SqsServerOptions } from "./server.ts";
