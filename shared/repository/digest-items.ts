import { isTerminalJobState } from "../domain/job-state.ts";
import type { Chore, JobDigest } from "./items.ts";
import { choreKey, digestKey, dueEntry, jobListEntry } from "./keys.ts";
import type { Table } from "./table.ts";

/** Messages of a job not known to be sent by then are sent again; a chore not finished by then is taken up again. */
export const dispatchDueMs = 60_000;

/** All attributes of a digest item but those of the due index. */
export function digestAttributes(digest: JobDigest): Record<string, unknown> {
  return { ...digestKey(digest.jobId), ...jobListEntry(digest.jobId), type: "digest", ...digest };
}

/** When the sweep has to look at a digest next: its timeout, or messages not known to be sent; undefined = never. */
export function digestDue(digest: JobDigest): { duePk: string; dueAt: string } | undefined {
  if (isTerminalJobState(digest.state)) return undefined;
  const due: number[] = [];
  if (digest.dispatchPending) due.push(Date.parse(digest.createdAt) + dispatchDueMs);
  if (digest.timeoutAt !== undefined && digest.cancel === undefined) due.push(Date.parse(digest.timeoutAt));
  return due.length === 0 ? undefined : dueEntry(digest.jobId, Math.min(...due));
}

/** Writes a chore; the stream sees it and the work begins, or the sweep does after a while. */
export function putChore(table: Table, chore: Chore, nowMs: number) {
  const due = dueEntry(`${chore.jobId}/${chore.kind}`, nowMs + dispatchDueMs);
  const Item = { ...choreKey(chore.jobId, chore.kind), ...due, type: "chore", ...chore };
  return { Put: { TableName: table.name, Item } };
}
