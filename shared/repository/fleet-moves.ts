import { setTimeout as sleep } from "node:timers/promises";
import type { FleetEvent, UnplacedFleetEvent } from "../../events/index.ts";
import { AppError } from "../domain/errors.ts";
import { changePool, type PoolChange } from "../domain/pool-state.ts";
import {
  eventSortKey,
  fleetEventListEntry,
  fleetEventPartition,
  type ItemKey,
  poolKey,
  poolListEntry,
  workerKey,
} from "./keys.ts";
import type { PoolItem } from "./pools.ts";
import { getItems, type Table, type TransactItems, updateItem, writeTransaction } from "./table.ts";
import type { WorkerItem } from "./workers.ts";

/** What one move does to a worker's item, to its pool's counts, and the events that tell of it. */
export interface WorkerMove {
  set: Record<string, unknown>;
  remove?: readonly string[];
  change?: PoolChange;
  events: readonly UnplacedFleetEvent[];
  /** True where it only holds as long as nobody has heard of the worker again. */
  unheard?: boolean;
}

/** Events of pools and workers are kept this long. */
const eventTtlSeconds = 30 * 24 * 3600;
/** Workers of one pool that move at once write the same pool item one after the other. */
const moveTries = 20;
const longestPauseMs = 250;

/**
 * Moves a worker by one transaction: its item, its pool's counts and the events, on the condition that neither has moved
 * since they were read. Of any number that see the same reason for a move one writes it; the others look again, and
 * find nothing left to do. Answers the worker as it is then, and whether it was moved.
 */
export async function moveWorker(
  table: Table,
  workerId: string,
  nowMs: number,
  decide: (worker: WorkerItem) => WorkerMove | undefined,
): Promise<{ worker: WorkerItem; moved: boolean } | undefined> {
  for (let tries = 1; tries <= moveTries; tries++) {
    const [item] = await getItems(table, [workerKey(workerId)]);
    if (!item) return undefined;
    const worker = item as unknown as WorkerItem;
    const move = decide(worker);
    if (!move) return { worker, moved: false };
    const update = updateWorker(table, worker, move);
    const pool = await readPool(table, worker.pool);
    const isMoved =
      move.events.length > 0
        ? (await writeTransaction(table, [{ Update: update }, ...addEvents(table, pool, worker, move, nowMs)])).ok
        : (await updateItem(table, update)).ok;
    if (isMoved) return { worker: { ...without(worker, move.remove), ...move.set }, moved: true };
    await sleep(Math.random() * Math.min(longestPauseMs, 10 * 2 ** tries));
  }
  throw new AppError("unavailable", `the pool of worker ${workerId} is changing too fast; try again`);
}

/** What becomes of a pool's item, and the events that tell of it. */
export interface PoolMove {
  after: PoolItem;
  events: readonly UnplacedFleetEvent[];
  isListed: boolean;
}

/**
 * Moves a pool by one transaction, on the condition that it has not moved since it was read. Answers whether it was
 * moved; it is not where there is nothing to do.
 */
export async function movePool(
  table: Table,
  name: string,
  nowMs: number,
  decide: (pool: PoolItem) => PoolMove | undefined,
): Promise<boolean> {
  for (let tries = 1; tries <= moveTries; tries++) {
    const pool = await readPool(table, name);
    const move = decide(pool);
    if (!move) return false;
    if ((await writeTransaction(table, placeEvents(table, pool, move, nowMs))).ok) return true;
    await sleep(Math.random() * Math.min(longestPauseMs, 10 * 2 ** tries));
  }
  throw new AppError("unavailable", `the pool ${name} is changing too fast; try again`);
}

async function readPool(table: Table, pool: string): Promise<PoolItem> {
  const [item] = await getItems(table, [poolKey(pool)]);
  return toPool(pool, item);
}

/** A pool as its item tells; one without an item is one that no worker was ever seen of. */
export function toPool(pool: string, item: Record<string, unknown> = {}): PoolItem {
  return { seq: 0, live: 0, losses: [], lastSeenMs: 0, movedMs: 0, ...(item as Partial<PoolItem>), pool };
}

/** The items that count a move and tell of it. */
function addEvents(table: Table, pool: PoolItem, worker: WorkerItem, move: WorkerMove, nowMs: number): TransactItems {
  const changed = move.change && changePool(pool, move.change, nowMs);
  const workerId = move.change?.workerId;
  const scale = changed?.scale && workerId !== undefined ? [{ ...changed.scale, workerId }] : [];
  const seenMs = move.set.lastSeenMs ?? worker.lastSeenMs;
  const after = { ...pool, ...changed?.counts, lastSeenMs: Math.max(pool.lastSeenMs, Number(seenMs)) };
  return placeEvents(table, pool, { after, events: [...move.events, ...scale], isListed: true }, nowMs);
}

function placeEvents(
  table: Table,
  before: PoolItem,
  { after, events: unplaced, isListed }: PoolMove,
  nowMs: number,
): TransactItems {
  const { pool, live, losses, lastSeenMs, desired } = after;
  // One that waited for others to be written is not told as earlier than these: by time and by number is one order.
  const movedMs = Math.max(nowMs, before.movedMs);
  const at = new Date(movedMs).toISOString();
  const events = unplaced.map(
    (event, index) => ({ ...event, v: 1, seq: before.seq + 1 + index, pool, at }) as FleetEvent,
  );
  const seq = before.seq + events.length;
  const counts = { live, losses, lastSeenMs, movedMs, seq };
  const set = { type: "pool", pool, ...counts, desired, ...(isListed ? poolListEntry(pool) : {}) };
  const remove = [...(isListed ? [] : ["listPk", "listSk"]), ...(desired === undefined ? ["desired"] : [])];
  return [
    {
      Update: {
        TableName: table.name,
        Key: poolKey(pool),
        ...describeUpdate(set, remove, {
          expression: before.seq === 0 ? "attribute_not_exists(#seq) OR #seq = :seen" : "#seq = :seen",
          values: { ":seen": before.seq },
        }),
      },
    },
    {
      Put: {
        TableName: table.name,
        Item: {
          pk: fleetEventPartition(pool),
          sk: eventSortKey(seq),
          type: "fleet-events",
          ...fleetEventListEntry(at, pool, seq),
          events,
          expiresAt: Math.floor(nowMs / 1000) + eventTtlSeconds,
        },
        ConditionExpression: "attribute_not_exists(pk)",
      },
    },
  ];
}

function updateWorker(table: Table, worker: WorkerItem, move: WorkerMove) {
  const unheard = move.unheard ? " AND lastSeenMs = :lastSeen" : "";
  return {
    TableName: table.name,
    Key: workerKey(worker.workerId) satisfies ItemKey,
    ...describeUpdate({ ...move.set, moves: worker.moves + 1 }, move.remove ?? [], {
      expression: `#moves = :seen${unheard}`,
      values: { ":seen": worker.moves, ...(move.unheard ? { ":lastSeen": worker.lastSeenMs } : {}) },
    }),
  };
}

/** The expressions of an update that sets and removes these attributes on a condition. */
export function describeUpdate(
  set: Record<string, unknown>,
  remove: readonly string[],
  condition?: { expression: string; values?: Record<string, unknown> },
) {
  const names = Object.keys(set).filter((name) => set[name] !== undefined);
  return {
    UpdateExpression: [
      `SET ${names.map((name) => `#${name} = :${name}`).join(", ")}`,
      ...(remove.length > 0 ? [`REMOVE ${remove.map((name) => `#${name}`).join(", ")}`] : []),
    ].join(" "),
    ...(condition ? { ConditionExpression: condition.expression } : {}),
    ExpressionAttributeNames: Object.fromEntries([...names, ...remove].map((name) => [`#${name}`, name])),
    ExpressionAttributeValues: {
      ...Object.fromEntries(names.map((name) => [`:${name}`, set[name]])),
      ...condition?.values,
    },
  };
}

function without(worker: WorkerItem, names: readonly string[] = []): WorkerItem {
  return Object.fromEntries(Object.entries(worker).filter(([name]) => !names.includes(name))) as unknown as WorkerItem;
}
