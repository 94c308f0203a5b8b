import type { DynamoDBBatchItemFailure, DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import type { Chore } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { workOnChore } from "../operations/chores.ts";

/**
 * Works on the chores that a batch of stream records names, each once, until they are done or the time is up. A chore
 * that fails is asked for again, and keeps none of the others from being done.
 */
export async function workOnChores(
  deps: Deps,
  event: DynamoDBStreamEvent,
  remainingMs: number,
): Promise<DynamoDBBatchResponse> {
  const deadlineMs = deps.now() + remainingMs;
  const chores = new Map<string, { jobId: string; kind: Chore["kind"]; sequence: string }>();
  for (const record of event.Records) {
    const keys = record.dynamodb?.Keys;
    const chore = parseChoreKey(keys?.pk?.S ?? "", keys?.sk?.S ?? "");
    if (!chore) continue;
    const name = `${chore.jobId} ${chore.kind}`;
    if (!chores.has(name)) chores.set(name, { ...chore, sequence: record.dynamodb?.SequenceNumber ?? "" });
  }
  const batchItemFailures: DynamoDBBatchItemFailure[] = [];
  for (const { jobId, kind, sequence } of chores.values()) {
    try {
      await workOnChore(deps, jobId, kind, deadlineMs);
    } catch (error) {
      deps.log.error({ err: error, jobId, kind }, "the chore failed; it is tried again");
      batchItemFailures.push({ itemIdentifier: sequence });
    }
  }
  return { batchItemFailures };
}

/** Job and kind of a chore by its key; undefined for other keys, and for kinds that only a newer version knows. */
export function parseChoreKey(pk: string, sk: string): { jobId: string; kind: Chore["kind"] } | undefined {
  const kind = /^CHORE#(expand|cancel|advance|retry)$/.exec(sk)?.[1] as Chore["kind"] | undefined;
  return kind && { jobId: pk.slice("JOB#".length), kind };
}
