import { jobUlid, taskBucket } from "../domain/ids.ts";
import { dueShardCount } from "../infrastructure/table.ts";

/** A primary key of the table. */
export interface ItemKey extends Record<string, string> {
  pk: string;
  sk: string;
}

const sequenceDigits = 12;

export function digestKey(jobId: string): ItemKey {
  return { pk: `JOB#${jobId}`, sk: "DIGEST" };
}

/** The job whose digest is called so; undefined for all other keys. */
export function parseDigestKey({ pk, sk }: ItemKey): string | undefined {
  return sk === "DIGEST" ? pk.slice("JOB#".length) : undefined;
}

export function specKey(jobId: string): ItemKey {
  return { pk: `JOB#${jobId}`, sk: "SPEC" };
}

export function choreKey(jobId: string, kind: string): ItemKey {
  return { pk: `JOB#${jobId}`, sk: `CHORE#${kind}` };
}

export function taskPartition(jobId: string, bucket: number): string {
  return `TASKS#${jobId}#${bucket}`;
}

export function taskKey(jobId: string, bucket: number, task: string): ItemKey {
  return { pk: taskPartition(jobId, bucket), sk: task };
}

export function eventPartition(jobId: string): string {
  return `EVENTS#${jobId}`;
}

/** Pages of events sort by the last sequence number they hold, so that "after n" is one key condition. */
export function eventSortKey(lastSequence: number): string {
  return String(lastSequence).padStart(sequenceDigits, "0");
}

export function idempotencyItemKey(principal: string, idempotencyKey: string): ItemKey {
  return { pk: `IDEMPOTENCY#${principal}#${idempotencyKey}`, sk: "IDEMPOTENCY" };
}

export function workerKey(workerId: string): ItemKey {
  return { pk: `WORKER#${workerId}`, sk: "WORKER" };
}

/** The worker whose item has this key; undefined for keys of other items. */
export function workerIdOf({ pk, sk }: ItemKey): string | undefined {
  return sk === "WORKER" ? pk.slice("WORKER#".length) : undefined;
}

export function poolKey(pool: string): ItemKey {
  return { pk: `POOL#${pool}`, sk: "POOL" };
}

/** Events of a pool and its workers sort as those of a job do: each item by the last sequence number it holds. */
export function fleetEventPartition(pool: string): string {
  return `FLEETEVENTS#${pool}`;
}

export function deadLetterKey(pool: string, messageId: string): ItemKey {
  return { pk: `DEADLETTER#${pool}#${messageId}`, sk: "DEADLETTER" };
}

export function imageBlobItemKey(digest: string): ItemKey {
  return { pk: `IMAGEBLOB#${digest}`, sk: "IMAGEBLOB" };
}

/** The item that brings the retention of images before the sweep. */
export const imageRetentionKey: ItemKey = { pk: "IMAGES", sk: "RETENTION" };

/** Index attributes of the list of image blobs, by last use. Size and digest are read off the entry itself. */
export function imageBlobListEntry(usedAt: string, digest: string, bytes: number): { listPk: string; listSk: string } {
  return { listPk: "IMAGEBLOBS", listSk: `${usedAt}#${digest}#${bytes}` };
}

/** Tokens are found by their SHA-256: the table never holds one. */
export function tokenKey(tokenSha256: string): ItemKey {
  return { pk: `TOKEN#${tokenSha256}`, sk: "TOKEN" };
}

/** Index attributes that put a job into the list of all jobs, by creation. */
export function jobListEntry(jobId: string): { listPk: string; listSk: string } {
  return { listPk: "JOBS", listSk: jobUlid(jobId) };
}

export function workerListEntry(workerId: string): { listPk: string; listSk: string } {
  return { listPk: "WORKERS", listSk: workerId };
}

export function poolListEntry(pool: string): { listPk: string; listSk: string } {
  return { listPk: "POOLS", listSk: pool };
}

/** Index attributes that put events of all pools into one list, by time. */
export function fleetEventListEntry(
  at: string,
  pool: string,
  lastSequence: number,
): { listPk: string; listSk: string } {
  return { listPk: "FLEETEVENTS", listSk: `${at}#${pool}#${eventSortKey(lastSequence)}` };
}

/** Index attributes that put a job among its pool's unfinished ones, by creation. */
export function activeJobEntry(pool: string, jobId: string): ActiveEntry {
  return { activePk: `JOBS#${pool}`, activeSk: jobUlid(jobId) };
}

/** Index attributes that put a worker among its pool's workers that have not stopped, by start. */
export function activeWorkerEntry(pool: string, workerId: string): ActiveEntry {
  return { activePk: `WORKERS#${pool}`, activeSk: workerId };
}

/** Attributes of the index of what is active. */
export interface ActiveEntry {
  activePk: string;
  activeSk: string;
}

/** Index attributes that put a dead letter into the list of its pool, by when it was recorded. */
export function deadLetterListEntry(
  pool: string,
  recordedAt: string,
  messageId: string,
): { listPk: string; listSk: string } {
  return { listPk: `DEADLETTERS#${pool}`, listSk: `${recordedAt}#${messageId}` };
}

/** Index attributes that bring an item before the sweep once `dueAt` has passed. */
export function dueEntry(name: string, dueAtMs: number): { duePk: string; dueAt: string } {
  return { duePk: `DUE#${taskBucket(name, dueShardCount)}`, dueAt: new Date(dueAtMs).toISOString() };
}

/** All partitions of the due index. */
export function duePartitions(): string[] {
  return Array.from({ length: dueShardCount }, (_, shard) => `DUE#${shard}`);
}
