import { QueryCommand } from "@aws-sdk/lib-dynamodb";
import type { RegisterWorker } from "../api/worker-schemas.ts";
import { workerIdPattern } from "../domain/ids.ts";
import { type ActivePage, listActiveWorkers } from "./active.ts";
import { decodeCursor, encodeCursor } from "./cursors.ts";
import type { WorkerState } from "./items.ts";
import { activeWorkerEntry, type ItemKey, workerKey, workerListEntry } from "./keys.ts";
import { getItems, type Table, updateItem } from "./table.ts";

/** A worker as the control plane knows it. `lastSeenMs` is the control plane's clock at its last heartbeat. */
export interface WorkerItem extends RegisterWorker {
  state: WorkerState;
  slotsFree: number;
  held: number;
  startedAt: string;
  lastSeenMs: number;
  drainRequestedAt?: string;
}

/** A worker nobody heard of for so long is forgotten (the item only; it decides nothing). */
const workerTtlSeconds = 7 * 24 * 3600;

/** Reads and writes worker records. */
export interface WorkerRepository {
  register(worker: RegisterWorker, nowMs: number): Promise<void>;
  /** Stamps a heartbeat; undefined where the worker was never registered. */
  recordHeartbeat(
    workerId: string,
    beat: { state: "alive" | "draining" | "stopped"; slotsFree: number; held: number },
    nowMs: number,
  ): Promise<WorkerItem | undefined>;
  get(workerId: string): Promise<WorkerItem | undefined>;
  /** Workers of a pool that have not said that they stopped, whether they live or fell silent. */
  listActive(pool: string, limit: number): Promise<ActivePage<WorkerItem>>;
  requestDrain(workerId: string, nowMs: number): Promise<boolean>;
  list(page: { limit: number; cursor?: string | undefined }): Promise<{ workers: WorkerItem[]; cursor?: string }>;
}

export function createWorkerRepository(table: Table): WorkerRepository {
  return {
    async register(worker, nowMs) {
      const item: WorkerItem = {
        ...worker,
        state: "starting",
        slotsFree: worker.slots,
        held: 0,
        startedAt: new Date(nowMs).toISOString(),
        lastSeenMs: nowMs,
      };
      const entries = { ...workerListEntry(worker.workerId), ...activeWorkerEntry(worker.pool, worker.workerId) };
      const attributes = { ...entries, type: "worker", ...item, expiresAt: ttl(nowMs) };
      const names = Object.keys(attributes);
      await updateItem(table, {
        Key: workerKey(worker.workerId),
        UpdateExpression: `SET ${names.map((name) => `#${name} = :${name}`).join(", ")}`,
        ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
        ExpressionAttributeValues: Object.fromEntries(Object.entries(attributes).map(([k, v]) => [`:${k}`, v])),
      });
    },
    async recordHeartbeat(workerId, beat, nowMs) {
      const outcome = await updateItem(table, {
        Key: workerKey(workerId),
        UpdateExpression: [
          "SET #state = :state, slotsFree = :free, held = :held, lastSeenMs = :now, expiresAt = :expiresAt",
          ...(beat.state === "stopped" ? ["REMOVE activePk, activeSk"] : []),
        ].join(" "),
        ConditionExpression: "attribute_exists(pk)",
        ExpressionAttributeNames: { "#state": "state" },
        ExpressionAttributeValues: {
          ":state": beat.state,
          ":free": beat.slotsFree,
          ":held": beat.held,
          ":now": nowMs,
          ":expiresAt": ttl(nowMs),
        },
      });
      return outcome.ok ? (outcome.item as unknown as WorkerItem) : undefined;
    },
    async get(workerId) {
      const [item] = await getItems(table, [workerKey(workerId)]);
      return item as WorkerItem | undefined;
    },
    listActive: (pool, limit) => listActiveWorkers(table, pool, limit),
    async requestDrain(workerId, nowMs) {
      const outcome = await updateItem(table, {
        Key: workerKey(workerId),
        UpdateExpression: "SET drainRequestedAt = if_not_exists(drainRequestedAt, :at)",
        ConditionExpression: "attribute_exists(pk)",
        ExpressionAttributeValues: { ":at": new Date(nowMs).toISOString() },
      });
      return outcome.ok;
    },
    async list({ limit, cursor }) {
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
    },
  };
}

function ttl(nowMs: number): number {
  return Math.floor(nowMs / 1000) + workerTtlSeconds;
}
