import { randomUUID } from "node:crypto";
import { dispatchDueMs } from "./digest-items.ts";
import { choreKey, dueEntry } from "./keys.ts";
import type { Table, TransactItems } from "./table.ts";

/**
 * The chore that moves a job's graph on is never put anew: it keeps how far it has come, the sequence number of the last
 * event it has worked off. A new nonce says that there is more; without a due entry it rests.
 */
export function bumpAdvance(table: Table, jobId: string, nowMs: number): TransactItems[number] {
  const { duePk, dueAt } = dueEntry(`${jobId}/advance`, nowMs + dispatchDueMs);
  return {
    Update: {
      TableName: table.name,
      Key: choreKey(jobId, "advance"),
      UpdateExpression: [
        "SET nonce = :nonce, duePk = :duePk, dueAt = :dueAt, #cursor = if_not_exists(#cursor, :start)",
        "jobId = :jobId, kind = :kind, #type = :type",
      ].join(", "),
      ExpressionAttributeNames: { "#cursor": "cursor", "#type": "type" },
      ExpressionAttributeValues: {
        ":nonce": randomUUID(),
        ":duePk": duePk,
        ":dueAt": dueAt,
        ":start": "0",
        ":jobId": jobId,
        ":kind": "advance",
        ":type": "chore",
      },
    },
  };
}
