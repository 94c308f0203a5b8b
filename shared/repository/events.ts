import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { JobEvent, UnsequencedEvent } from "../../events/index.ts";
import { eventPartition, eventSortKey } from "./keys.ts";
import type { Table } from "./table.ts";

/**
 * Events are stored in pages: one item for all events of one transaction, so that a transaction has room for many
 * tasks. A page's key holds the last sequence number in it.
 */
interface EventPageItem {
  events: JobEvent[];
}

/** Gives events their places after `afterSeq`. */
export function sequenceEvents(jobId: string, afterSeq: number, events: readonly UnsequencedEvent[]): JobEvent[] {
  return events.map((event, index) => ({ ...event, v: 1, seq: afterSeq + 1 + index, jobId }) as JobEvent);
}

/** JSON bytes of one page of events at most (unless one event alone has more), well under the 400 KB of an item. */
export const eventPageBytes = 300_000;

/** The transaction items that append events, as pages; each fails if the page's place is taken. */
export function putEventPages(table: Table, jobId: string, events: readonly JobEvent[]) {
  return cutPages(events).map((page) => ({
    Put: {
      TableName: table.name,
      Item: { pk: eventPartition(jobId), sk: eventSortKey(page.at(-1)?.seq ?? 0), type: "events", events: page },
      ConditionExpression: "attribute_not_exists(pk)",
    },
  }));
}

function cutPages(events: readonly JobEvent[]): JobEvent[][] {
  const pages: JobEvent[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const event of events) {
    const eventBytes = Buffer.byteLength(JSON.stringify(event));
    if (bytes + eventBytes > eventPageBytes) {
      pages.push([]);
      bytes = 0;
    }
    pages.at(-1)?.push(event);
    bytes += eventBytes;
  }
  return pages;
}

/** Reads a job's events. */
export interface EventRepository {
  /**
   * Events after a sequence number, in order: at most `limit`, and at most `maxBytes` as JSON but one at least (one query
   * reads no more than 1 MB).
   */
  listAfter(jobId: string, afterSeq: number, limit: number, maxBytes?: number): Promise<JobEvent[]>;
}

export function createEventRepository(table: Table): EventRepository {
  return {
    async listAfter(jobId, afterSeq, limit, maxBytes) {
      const answer = await table.client.send(
        new QueryCommand({
          TableName: table.name,
          KeyConditionExpression: "pk = :pk AND sk > :after",
          ExpressionAttributeValues: { ":pk": eventPartition(jobId), ":after": eventSortKey(afterSeq) },
          Limit: limit,
          ConsistentRead: true,
        }),
      );
      const pages = (answer.Items ?? []) as unknown as EventPageItem[];
      const events = pages
        .flatMap((page) => page.events)
        .filter((event) => event.seq > afterSeq)
        .slice(0, limit);
      return maxBytes === undefined ? events : takeBytes(events, maxBytes);
    },
  };
}

/** The first events that take no more than so many bytes, one at least. */
function takeBytes(events: readonly JobEvent[], maxBytes: number): JobEvent[] {
  let bytes = 0;
  const tooMany = events.findIndex((event, index) => {
    bytes += Buffer.byteLength(JSON.stringify(event));
    return index > 0 && bytes > maxBytes;
  });
  return tooMany < 0 ? [...events] : events.slice(0, tooMany);
}
