import type { CallOptions, FollowOptions } from "./call-options.ts";
import { ApiError, unexpectedAnswerCode } from "./errors.ts";
import { readEventStream, type ServerSentEvent } from "./event-stream.ts";
import type { QueryValue, Transport } from "./transport.ts";

/** What the methods of the client are made of. */
export interface Calls {
  get<T>(path: string, query: Record<string, QueryValue>, call?: CallOptions): Promise<T>;
  post<T>(path: string, body: unknown, call?: CallOptions, headers?: Record<string, string>): Promise<T>;
  put<T>(path: string, body: unknown, call?: CallOptions): Promise<T>;
  /** Events of a stream through any number of lost connections; `query` of each one is made of what was seen last. */
  followStream(
    path: string,
    query: (lastEventId: string | undefined) => Record<string, QueryValue>,
    follow: FollowOptions,
    isLast?: (event: ServerSentEvent) => boolean,
  ): AsyncGenerator<ServerSentEvent>;
}

/** Calls of one control plane. */
export function createCalls(transport: Transport): Calls {
  return {
    get: (path, query, call = {}) => transport.callJson({ method: "GET", path, query, signal: call.signal }),
    post: (path, body, call = {}, headers = {}) =>
      transport.callJson({ method: "POST", path, body, headers, signal: call.signal }),
    put: (path, body, call = {}) => transport.callJson({ method: "PUT", path, body, signal: call.signal }),
    async *followStream(path, query, follow, isLast) {
      yield* readEventStream({
        ...follow,
        url: transport.url,
        isLast,
        open: (lastEventId, signal) => {
          const headers: Record<string, string> = { accept: "text/event-stream" };
          if (lastEventId !== undefined) headers["last-event-id"] = lastEventId;
          return transport.open({ method: "GET", path, query: query(lastEventId), headers, signal });
        },
      });
    },
  };
}

/** Reads pages until one has no cursor. A cursor that comes twice would loop for ever and is an error. */
export async function* eachPage<P extends { cursor?: string | undefined }>(
  readPage: (cursor: string | undefined) => Promise<P>,
): AsyncGenerator<P> {
  let cursor: string | undefined;
  do {
    const page = await readPage(cursor);
    yield page;
    if (page.cursor !== undefined && page.cursor === cursor) {
      throw new ApiError({ status: 200, code: unexpectedAnswerCode, detail: "the API answered the same page twice" });
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}
