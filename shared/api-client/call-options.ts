import type { StreamPatience, StreamStatus } from "./event-stream.ts";

/** What any call takes: a signal that ends it early. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** Which part of a list to read. */
export interface PageQuery {
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** How to follow a stream. */
export interface FollowOptions extends CallOptions {
  onStatus?: ((status: StreamStatus) => void) | undefined;
  patience?: Partial<StreamPatience> | undefined;
}
