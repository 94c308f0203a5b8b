export * from "./client.ts";
export { ApiError, ConnectionError } from "./errors.ts";
export type { StreamStatus } from "./event-stream.ts";
