import type { DynamoDBBatchResponse, DynamoDBStreamEvent } from "aws-lambda";
import { AppError } from "../../shared/domain/errors.ts";
import type { Chore } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import { workOnChore } from "../operations/chores.ts";

/** Works on the chores that a batch of stream records names, each once, until they are done or the time is up. */
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
  for (const { jobId, kind, sequence } of chores.values()) {
    try {
      await workOnChore(deps, jobId, kind, deadlineMs);
    } catch (error) {
      deps.log.error({ err: error, jobId, kind }, "the chore failed; it is tried again");
      return { batchItemFailures: [{ itemIdentifier: sequence }] };
    }
  }
  return { batchItemFailures: [] };
}

/** Job and kind of a chore by its key, undefined for other keys. */
export function parseChoreKey(pk: string, sk: string): { jobId: string; kind: Chore["kind"] } | undefined {
  if (!sk.startsWith("CHORE#")) return undefined;
  const kind = sk.slice("CHORE#".length);
  if (kind !== "expand" && kind !== "cancel") throw new AppError("internal", `there is no chore of the kind "${kind}"`);
  return { jobId: pk.slice("JOB#".length), kind };
}
