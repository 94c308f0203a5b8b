import { ConditionalCheckFailedException } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { Heartbeat, RegisterWorker, WorkerHealth } from "../api/worker-schemas.ts";
import { workerIdPattern } from "../domain/ids.ts";
import type { WorkerState } from "../domain/worker-state.ts";
import { type ActivePage, listActiveWorkers } from "./active.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import { describeUpdate, moveWorker, type WorkerMove } from "./fleet-moves.ts";
import { type ItemKey, workerKey, workerListEntry } from "./keys.ts";
import { getItems, type Table, updateItem } from "./table.ts";
import { activeEntries, decideBeat, decideLoss, healthyKey, isLate, recordOfBeat } from "./worker-decisions.ts";

/**
 * A worker as the control plane knows it. `lastSeenMs` and all other times are the control plane's. `moves` counts the
 * moves of its state, of which each is one transaction with its events (`fleet-moves.ts`); a heartbeat that moves
 * nothing is one plain write.
 */
export interface WorkerItem extends RegisterWorker {
  state: WorkerState;
  moves: number;
  slotsFree: number;
  held: number;
  /** Ids of the attempts that it held at its last heartbeat. */
  heldAttempts?: string[];
  startedAt: string;
  lastSeenMs: number;
  beatNumber?: number;
  use?: NonNullable<Heartbeat["host"]>;
  health?: WorkerHealth;
  healthKey?: string;
  drainRequestedAt?: string;
  drainRequestedBy?: string;
  drainingSince?: string;
  drainCause?: NonNullable<Heartbeat["drainCause"]>;
  lostAt?: string;
  stoppedAt?: string;
  /** Attempts that it left behind when it stopped. */
  abandoned?: number;
}

/**
 * What became of a wish that a worker drains or goes on. `unchanged`: it was so before. `final`: it drains for something
 * that no wish takes back.
 */
export type DrainWish = { status: "noted" | "unchanged" | "stopped" | "unknown" } | { status: "final"; detail: string };

/** Reads and writes worker records. */
export interface WorkerRepository {
  /** Writes down a new worker. One that registers again, such as because the answer got lost, keeps its state. */
  register(worker: RegisterWorker, nowMs: number): Promise<void>;
  /** Notes a heartbeat, and what it moves; undefined where the worker was never registered. */
  recordHeartbeat(workerId: string, beat: Heartbeat, nowMs: number): Promise<WorkerItem | undefined>;
  /** Writes down that a worker is lost with these attempts; false where it is not, or somebody else has. */
  noteLost(workerId: string, attemptIds: readonly string[], nowMs: number): Promise<boolean>;
  get(workerId: string): Promise<WorkerItem | undefined>;
  getMany(workerIds: readonly string[]): Promise<WorkerItem[]>;
  /** Workers of a pool that have neither stopped nor are known to be lost. */
  listActive(pool: string, limit: number): Promise<ActivePage<WorkerItem>>;
  requestDrain(workerId: string, by: string, nowMs: number): Promise<DrainWish>;
  revokeDrain(workerId: string, by: string, nowMs: number): Promise<DrainWish>;
  list(page: { limit: number; cursor?: string | undefined }): Promise<{ workers: WorkerItem[]; cursor?: string }>;
  /** Removes the record of a worker that has ended. */
  forget(workerId: string): Promise<boolean>;
}

export function createWorkerRepository(table: Table): WorkerRepository {
  return {
    register: (worker, nowMs) => register(table, worker, nowMs),
    recordHeartbeat: (workerId, beat, nowMs) => recordHeartbeat(table, workerId, beat, nowMs),
    async noteLost(workerId, attemptIds, nowMs) {
      const outcome = await moveWorker(table, workerId, nowMs, (worker) => decideLoss(worker, attemptIds, nowMs));
      return outcome?.moved ?? false;
    },
    async get(workerId) {
      const [item] = await getItems(table, [workerKey(workerId)]);
      return item as WorkerItem | undefined;
    },
    async getMany(workerIds) {
      return (await getItems(table, workerIds.map(workerKey))) as unknown as WorkerItem[];
    },
    listActive: (pool, limit) => listActiveWorkers(table, pool, limit),
    requestDrain: (workerId, by, nowMs) => {
      const set = { drainRequestedAt: new Date(nowMs).toISOString(), drainRequestedBy: by };
      return noteWish(table, workerId, nowMs, (worker) =>
        worker.drainRequestedAt === undefined
          ? { set, events: [{ type: "drain_requested", workerId, by }] }
          : undefined,
      );
    },
    revokeDrain: (workerId, by, nowMs) => revokeDrain(table, workerId, by, nowMs),
    list: (page) => listWorkers(table, page),
    async forget(workerId) {
      const outcome = await table.client
        .send(
          new DeleteCommand({
            TableName: table.name,
            Key: workerKey(workerId),
            ConditionExpression: "#state IN (:lost, :stopped)",
            ExpressionAttributeNames: { "#state": "state" },
            ExpressionAttributeValues: { ":lost": "lost", ":stopped": "stopped" },
          }),
        )
        .then(
          () => true,
          (error: unknown) => {
            if (error instanceof ConditionalCheckFailedException) return false;
            throw error;
          },
        );
      return outcome;
    },
  };
}

async function register(table: Table, worker: RegisterWorker, nowMs: number): Promise<void> {
  const described = { ...workerListEntry(worker.workerId), type: "worker", ...worker };
  const first = {
    ...activeEntries(worker, nowMs),
    state: "starting",
    moves: 0,
    slotsFree: worker.slots,
    held: 0,
    healthKey: healthyKey,
    startedAt: new Date(nowMs).toISOString(),
    lastSeenMs: nowMs,
  };
  const Key = workerKey(worker.workerId);
  const isNew = { expression: "attribute_not_exists(pk)" };
  const written = await updateItem(table, { Key, ...describeUpdate({ ...described, ...first }, [], isNew) });
  const isKnown = { expression: "attribute_exists(pk)" };
  if (!written.ok) await updateItem(table, { Key, ...describeUpdate(described, [], isKnown) });
}

async function recordHeartbeat(
  table: Table,
  workerId: string,
  beat: Heartbeat,
  nowMs: number,
): Promise<WorkerItem | undefined> {
  const plain = beat.state === "stopped" ? undefined : await writePlainBeat(table, workerId, beat, nowMs);
  if (plain?.ok) return plain.item as unknown as WorkerItem;
  if (plain && !plain.item) return undefined;
  if (plain?.item && isLate(plain.item as unknown as WorkerItem, beat)) return plain.item as unknown as WorkerItem;
  const outcome = await moveWorker(table, workerId, nowMs, (worker) => decideBeat(worker, beat, nowMs));
  return outcome?.worker;
}

/** The one write of a heartbeat that moves nothing. */
function writePlainBeat(table: Table, workerId: string, beat: Heartbeat, nowMs: number) {
  const conditions = [
    "#state = :state",
    ...(beat.number === undefined ? [] : ["(attribute_not_exists(#beatNumber) OR #beatNumber < :beatNumber)"]),
    ...(beat.health === undefined ? [] : ["#healthKey = :healthKey"]),
  ];
  const set = { ...recordOfBeat(beat, nowMs), state: beat.state };
  return updateItem(table, {
    Key: workerKey(workerId),
    ...describeUpdate(set, [], { expression: conditions.join(" AND ") }),
  });
}

async function revokeDrain(table: Table, workerId: string, by: string, nowMs: number): Promise<DrainWish> {
  let final: string | undefined;
  const wish = await noteWish(table, workerId, nowMs, (worker) => {
    const { drainCause, drainRequestedAt } = worker;
    // A wish that the worker would not follow is not taken; one that is lost has not changed its mind by that.
    const isFinal = drainCause !== undefined && drainCause.kind !== "requested";
    final = isFinal ? (drainCause.detail ?? drainCause.kind) : undefined;
    if (isFinal || drainRequestedAt === undefined) return undefined;
    return {
      set: {},
      remove: ["drainRequestedAt", "drainRequestedBy"],
      events: [{ type: "undrain_requested", workerId, by }],
    };
  });
  return wish.status === "unchanged" && final !== undefined ? { status: "final", detail: final } : wish;
}

async function noteWish(
  table: Table,
  workerId: string,
  nowMs: number,
  decide: (worker: WorkerItem) => WorkerMove | undefined,
): Promise<DrainWish> {
  const outcome = await moveWorker(table, workerId, nowMs, (worker) =>
    worker.state === "stopped" ? undefined : decide(worker),
  );
  if (!outcome) return { status: "unknown" };
  if (outcome.moved) return { status: "noted" };
  return { status: outcome.worker.state === "stopped" ? "stopped" : "unchanged" };
}

async function listWorkers(
  table: Table,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ workers: WorkerItem[]; cursor?: string }> {
  const after = decodeCursor("workers", cursor, ([workerId]) =>
    typeof workerId === "string" && workerIdPattern.test(workerId) ? workerId : undefined,
  );
  const answer = await table.client.send(
    new QueryCommand({
      TableName: table.name,
      IndexName: "byList",
      KeyConditionExpression: "listPk = :pk",
      ExpressionAttributeValues: { ":pk": "WORKERS" },
      ScanIndexForward: false,
      Limit: limit,
      ...(after === undefined ? {} : { ExclusiveStartKey: { ...workerKey(after), ...workerListEntry(after) } }),
    }),
  );
  const keys = (answer.Items ?? []).map((item): ItemKey => ({ pk: String(item.pk), sk: String(item.sk) }));
  const workers = (await getItems(table, keys)) as unknown as WorkerItem[];
  workers.sort((a, b) => (a.workerId < b.workerId ? 1 : -1));
  const last = answer.LastEvaluatedKey?.listSk;
  return last === undefined ? { workers } : { workers, cursor: encodeCursor("workers", [String(last)]) };
}
