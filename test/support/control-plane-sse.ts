import { createParser } from "eventsource-parser";

/** One server-sent event as a client sees it. */
export interface ReceivedEvent {
  event: string | undefined;
  id: string | undefined;
  data: string;
}

/** A stream that a test reads event by event. */
export interface EventReader {
  /** The next event; undefined where the stream ended. */
  next(): Promise<ReceivedEvent | undefined>;
  /** All events until the stream ends or one says `end`, that one included. */
  readAll(): Promise<ReceivedEvent[]>;
  /** Goes away, as a client does. */
  cancel(): Promise<void>;
}

/** Reads the body of a streamed answer. */
export function readEvents(response: Response): EventReader {
  const received: ReceivedEvent[] = [];
  const parser = createParser({ onEvent: ({ event, id, data }) => received.push({ event, id, data }) });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const next = async (): Promise<ReceivedEvent | undefined> => {
    while (received.length === 0) {
      const read = await reader?.read();
      if (!read || read.done) return undefined;
      parser.feed(decoder.decode(read.value, { stream: true }));
    }
    return received.shift();
  };
  return {
    next,
    async readAll() {
      const all: ReceivedEvent[] = [];
      for (let event = await next(); event; event = await next()) {
        all.push(event);
        if (event.event === "end") break;
      }
      return all;
    },
    cancel: async () => reader?.cancel(),
  };
}
