export type * from "./call-options.ts";
export * from "./client.ts";
export { ApiError, ConnectionError } from "./errors.ts";
export type { StreamStatus } from "./event-stream.ts";
export type * from "./fleet-client.ts";
