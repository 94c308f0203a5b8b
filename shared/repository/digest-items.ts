import { randomUUID } from "node:crypto";
import { isTerminalJobState } from "../domain/job-state.ts";
import type { Chore, JobCheck, JobDigest } from "./items.ts";
import { activeJobEntry, choreKey, digestKey, dueEntry, jobListEntry } from "./keys.ts";
import { type Table, updateItem } from "./table.ts";

/** Messages of a job not known to be sent by then are sent again; a chore not finished by then is taken up again. */
export const dispatchDueMs = 60_000;
/** A job is looked at this long after it was created or last looked at, in case that nothing moves in it any more. */
export const firstCheckMs = 3600_000;
const firstSeq = 1;

/** All attributes of the digest item of a new job but those of the due index. */
export function digestAttributes(digest: JobDigest): Record<string, unknown> {
  const entries = { ...jobListEntry(digest.jobId), ...activeJobEntry(digest.pool, digest.jobId) };
  return { ...digestKey(digest.jobId), ...entries, type: "digest", ...digest };
}

/** The next look at a job: where it was noted down, or the first. */
export function nextCheck(digest: JobDigest): JobCheck {
  const firstAt = new Date(Date.parse(digest.createdAt) + firstCheckMs).toISOString();
  return digest.check ?? { at: firstAt, seq: firstSeq, afterMs: firstCheckMs };
}

/** When the sweep has to look at a digest next: its timeout, messages not known to be sent, its next check; undefined = never. */
export function digestDue(digest: JobDigest): { duePk: string; dueAt: string } | undefined {
  if (isTerminalJobState(digest.state)) return undefined;
  const due = [Date.parse(nextCheck(digest).at)];
  if (digest.dispatchPending) due.push(Date.parse(digest.createdAt) + dispatchDueMs);
  if (digest.timeoutAt !== undefined && digest.cancel === undefined) due.push(Date.parse(digest.timeoutAt));
  return dueEntry(digest.jobId, Math.min(...due));
}

/**
 * Notes on a digest what the sweep has to know: that the job's messages were sent, and when to look at it next. A job
 * that has ended meanwhile is left as it is, for nobody must look at it again; so is one that a retry gave another
 * deadline, which has noted itself when to look.
 */
export async function noteJobDue(table: Table, digest: JobDigest): Promise<void> {
  const due = digestDue(digest);
  if (!due) return clearJobDue(table, digest.jobId);
  await updateItem(table, {
    Key: digestKey(digest.jobId),
    UpdateExpression: [
      `SET duePk = :duePk, dueAt = :dueAt${digest.check ? ", #check = :check" : ""}`,
      ...(digest.dispatchPending ? [] : ["REMOVE dispatchPending"]),
    ].join(" "),
    ConditionExpression: `#state IN (:queued, :running) AND ${
      digest.timeoutAt === undefined ? "attribute_not_exists(timeoutAt)" : "timeoutAt = :timeoutAt"
    }`,
    ExpressionAttributeNames: { "#state": "state", ...(digest.check ? { "#check": "check" } : {}) },
    ExpressionAttributeValues: {
      ":duePk": due.duePk,
      ":dueAt": due.dueAt,
      ":queued": "queued",
      ":running": "running",
      ...(digest.timeoutAt === undefined ? {} : { ":timeoutAt": digest.timeoutAt }),
      ...(digest.check ? { ":check": digest.check } : {}),
    },
  });
}

async function clearJobDue(table: Table, jobId: string): Promise<void> {
  await updateItem(table, {
    Key: digestKey(jobId),
    UpdateExpression: "REMOVE duePk, dueAt",
    ConditionExpression: "attribute_exists(pk) AND NOT #state IN (:queued, :running)",
    ExpressionAttributeNames: { "#state": "state" },
    ExpressionAttributeValues: { ":queued": "queued", ":running": "running" },
  });
}

/** Writes a chore; the stream sees it and the work begins, or the sweep does after a while. */
export function putChore(table: Table, fields: Omit<Chore, "nonce"> & { nonce?: string }, nowMs: number) {
  const { jobId, kind } = fields;
  const due = dueEntry(`${jobId}/${kind}`, nowMs + dispatchDueMs);
  const chore: Chore = { nonce: randomUUID(), ...fields };
  const Item = { ...choreKey(jobId, kind), ...due, type: "chore", ...chore };
  return { Put: { TableName: table.name, Item } };
}
