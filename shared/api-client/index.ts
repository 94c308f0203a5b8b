export * from "./client.ts";
export {
  ApiError,
  ConnectionError,
  type ConnectionFailure,
  type RequestProblem,
  unexpectedAnswerCode,
} from "./errors.ts";
export type { StreamPatience, StreamStatus } from "./event-stream.ts";
export type { TransportOptions } from "./transport.ts";
