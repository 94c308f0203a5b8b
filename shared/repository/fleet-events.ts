import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { FleetEvent } from "../../events/index.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import { eventSortKey, fleetEventListEntry, fleetEventPartition, type ItemKey } from "./keys.ts";
import { getItems, type Table } from "./table.ts";

/** What to list: the newest events of one pool, or of all. */
export interface FleetEventQuery {
  pool?: string | undefined;
  limit: number;
  cursor?: string | undefined;
  /** JSON bytes of a page: it ends with the move that fills it. */
  maxBytes: number;
  /** Without it no more is read than is answered. */
  matches?: ((event: FleetEvent) => boolean) | undefined;
  /** ISO 8601; events of before are not looked for. */
  since?: string | undefined;
}

/** With a filter most events may be read in vain: so many moves at once, and so many times for one page at most. */
const readMoves = 100;
const mostReads = 10;

/** Reads the events of pools and workers. */
export interface FleetEventRepository {
  /**
   * The newest first. Events of one move stay together, so that a page may have some more than asked for; with a filter
   * it may be short though more follow.
   */
  list(query: FleetEventQuery): Promise<{ events: FleetEvent[]; cursor?: string }>;
}

interface Place {
  at: string;
  pool: string;
  seq: number;
}

interface MoveEvents {
  events: FleetEvent[];
}

export function createFleetEventRepository(table: Table): FleetEventRepository {
  return {
    async list({ pool, limit, cursor, maxBytes, matches, since = "" }) {
      const list = `fleet events ${pool ?? ""}`;
      const events: FleetEvent[] = [];
      let bytes = 0;
      const isFull = () => events.length >= limit || bytes >= maxBytes;
      let after = decodeCursor(list, cursor, (place) => readPlace(place, pool));
      for (let reads = 0; reads < mostReads; reads++) {
        const read = await readPage(table, pool, after, matches ? readMoves : Math.min(readMoves, limit));
        for (const move of read.moves) {
          if ((placeOf(move)?.at ?? since) < since) return { events };
          const found = move.events.filter((event) => matches?.(event) ?? true).reverse();
          events.push(...found);
          bytes += Buffer.byteLength(JSON.stringify(found));
          after = placeOf(move);
          if (isFull()) break;
        }
        if (isFull()) break;
        if (!read.more) return { events };
      }
      return after ? { events, cursor: encodeCursor(list, [after.at, after.pool, after.seq]) } : { events };
    },
  };
}

async function readPage(
  table: Table,
  pool: string | undefined,
  after: Place | undefined,
  most: number,
): Promise<{ moves: MoveEvents[]; more: boolean }> {
  const ofAll = pool === undefined;
  const partition = ofAll ? fleetEventListEntry("", "", 0).listPk : fleetEventPartition(pool);
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      ...(ofAll ? { IndexName: "byList" } : {}),
      KeyConditionExpression: ofAll ? "listPk = :pk" : "pk = :pk",
      ExpressionAttributeValues: { ":pk": partition },
      ScanIndexForward: false,
      Limit: most,
      ...(after ? { ExclusiveStartKey: { ...keyOf(after), ...(ofAll ? listEntryOf(after) : {}) } } : {}),
    }),
  );
  const more = answer.LastEvaluatedKey !== undefined;
  const items = answer.Items ?? [];
  if (!ofAll) return { moves: items as unknown as MoveEvents[], more };
  const keys = items.map((item): ItemKey => ({ pk: String(item.pk), sk: String(item.sk) }));
  const byKey = new Map((await getItems(table, keys)).map((item) => [`${item.pk} ${item.sk}`, item]));
  const moves = keys.flatMap(({ pk, sk }) => byKey.get(`${pk} ${sk}`) ?? []);
  return { moves: moves as unknown as MoveEvents[], more };
}

function placeOf({ events }: MoveEvents): Place | undefined {
  const last = events.at(-1);
  return last && { at: last.at, pool: last.pool, seq: last.seq };
}

function keyOf({ pool, seq }: Place): ItemKey {
  return { pk: fleetEventPartition(pool), sk: eventSortKey(seq) };
}

function listEntryOf({ at, pool, seq }: Place) {
  return fleetEventListEntry(at, pool, seq);
}

function readPlace([at, pool, seq]: readonly unknown[], ofPool: string | undefined): Place | undefined {
  if (typeof at !== "string" || !/^[\d:.TZ-]{1,40}$/.test(at)) return undefined;
  if (typeof pool !== "string" || !/^[a-z0-9_-]{1,64}$/.test(pool)) return undefined;
  if (ofPool !== undefined && ofPool !== pool) return undefined;
  return Number.isSafeInteger(seq) ? { at, pool, seq: Number(seq) } : undefined;
}
