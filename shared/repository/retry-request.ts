import { digestDue, firstCheckMs, putChore } from "./digest-items.ts";
import { putEventPages, sequenceEvents } from "./events.ts";
import { putIdempotent } from "./idempotency.ts";
import type { JobDigest, RetryRequest } from "./items.ts";
import { choreKey, digestKey } from "./keys.ts";
import { type Table, type TransactItems, writeTransaction } from "./table.ts";

/** Names of tasks that the event of a retry lists at most. */
const listedTasks = 100;

/** What is written down when tasks are to be run again. */
export interface NewRetry {
  /** The job as it was seen: the retry is refused where it has moved since. */
  digest: JobDigest;
  /** Names the retry, and the list of its tasks in the bucket. */
  nonce: string;
  by: string;
  tasks: readonly string[];
  nowMs: number;
  /** The time the whole job is given from now on. */
  timeoutMs?: number | undefined;
  idempotency?: { principal: string; key: string; requestSha256: string } | undefined;
}

/**
 * Asks for a retry: its event, the digest without what ended the job before, and the chore that does it, or none of
 * them. Refused also while another chore moves the job's tasks.
 */
export async function requestRetry(table: Table, retry: NewRetry): Promise<boolean> {
  const { digest, nonce, by, tasks, nowMs, timeoutMs, idempotency } = retry;
  const { jobId } = digest;
  const at = new Date(nowMs).toISOString();
  const events = sequenceEvents(jobId, digest.seq, [
    { type: "job.retry_requested", at, by, count: tasks.length, tasks: tasks.slice(0, listedTasks) },
  ]);
  const seq = digest.seq + events.length;
  const { cancel, ...kept } = digest;
  const next: JobDigest = {
    ...kept,
    seq,
    check: { at: new Date(nowMs + firstCheckMs).toISOString(), seq, afterMs: firstCheckMs },
    ...(timeoutMs === undefined ? {} : { timeoutAt: new Date(nowMs + timeoutMs).toISOString() }),
  };
  const request: RetryRequest = { by, at, seq, wasCancelled: cancel !== undefined };
  const chore = putChore(table, { jobId, kind: "retry", cursor: "", nonce, retry: request }, nowMs);
  const absent = { TableName: table.name, ConditionExpression: "attribute_not_exists(pk)" };
  const items: TransactItems = [
    updateDigest(table, digest, next),
    ...putEventPages(table, jobId, events),
    { Put: { ...chore.Put, ...absent } },
    { ConditionCheck: { ...absent, Key: choreKey(jobId, "cancel") } },
    { ConditionCheck: { ...absent, Key: choreKey(jobId, "expand") } },
    ...(idempotency ? [putIdempotent(table, { ...idempotency, jobId, nowMs })] : []),
  ];
  return (await writeTransaction(table, items)).ok;
}

/** The fold opens an ended job again, and notes then when the sweep has to look at it. */
function updateDigest(table: Table, seen: JobDigest, next: JobDigest): TransactItems[number] {
  const set = { seq: next.seq, check: next.check, timeoutAt: next.timeoutAt, ...digestDue(next) };
  const present = Object.entries(set).filter(([, value]) => value !== undefined);
  return {
    Update: {
      TableName: table.name,
      Key: digestKey(next.jobId),
      UpdateExpression: `SET ${present.map(([name]) => `#${name} = :${name}`).join(", ")} REMOVE cancel`,
      ConditionExpression: "#seq = :seen",
      ExpressionAttributeNames: Object.fromEntries(present.map(([name]) => [`#${name}`, name])),
      ExpressionAttributeValues: {
        ...Object.fromEntries(present.map(([name, value]) => [`:${name}`, value])),
        ":seen": seen.seq,
      },
    },
  };
}
