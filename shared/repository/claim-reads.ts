import { createByteMemory } from "../byte-memory.ts";
import { jobIdPattern } from "../domain/ids.ts";
import { jobRules } from "../jobfile/rules.ts";
import type { JobDigest, TaskItem } from "./items.ts";
import type { StoredSpec } from "./jobs.ts";
import { digestKey, specKey, taskKey } from "./keys.ts";
import type { TaskAddress } from "./move-task.ts";
import { getItems, type Table } from "./table.ts";

/** What a claim is decided by; a missing job or task is absent. */
export interface ClaimInputs {
  digest(jobId: string): JobDigest | undefined;
  spec(jobId: string): StoredSpec | undefined;
  task(address: TaskAddress): TaskItem | undefined;
}

/** Bytes of specs (as JSON) that one process remembers. */
const defaultRememberedBytes = 16 * 1024 * 1024;

/**
 * Reads what several claims need in one request. Specs never change, so this process remembers those it has read. An
 * address that cannot be one of a task is not asked for: the table would refuse the whole request.
 */
export function createClaimReader(
  table: Table,
  { maxRememberedBytes = defaultRememberedBytes }: { maxRememberedBytes?: number } = {},
): (addresses: readonly TaskAddress[]) => Promise<ClaimInputs> {
  const memory = createByteMemory<StoredSpec>(maxRememberedBytes);
  return async (requested) => {
    const addresses = requested.filter(isPossibleAddress);
    const jobIds = [...new Set(addresses.map((address) => address.jobId))];
    // Taken before the read: while that is under way another call may push them out of the memory.
    const specs = new Map<string, StoredSpec>();
    for (const jobId of jobIds) {
      const spec = memory.get(jobId);
      if (spec) specs.set(jobId, spec);
    }
    const items = await getItems(table, [
      ...jobIds.map(digestKey),
      ...jobIds.filter((jobId) => !specs.has(jobId)).map(specKey),
      ...uniqueKeys(addresses),
    ]);
    const byKey = new Map(items.map((item) => [`${item.pk} ${item.sk}`, item]));
    const find = (key: { pk: string; sk: string }) => byKey.get(`${key.pk} ${key.sk}`);
    for (const jobId of jobIds) {
      const stored = find(specKey(jobId));
      if (!stored) continue;
      const json = String(stored.spec);
      const spec = JSON.parse(json) as StoredSpec;
      memory.add(jobId, spec, json.length);
      specs.set(jobId, spec);
    }
    return {
      digest: (jobId) => find(digestKey(jobId)) as JobDigest | undefined,
      spec: (jobId) => specs.get(jobId),
      task: (address) => find(taskKey(address.jobId, address.bucket, address.task)) as TaskItem | undefined,
    };
  };
}

function isPossibleAddress({ jobId, task, bucket }: TaskAddress): boolean {
  const { pattern, maxLength } = jobRules.taskName;
  return (
    jobId.length <= 128 && jobIdPattern.test(jobId) && task.length <= maxLength && pattern.test(task) && bucket < 1e4
  );
}

function uniqueKeys(addresses: readonly TaskAddress[]) {
  const keys = addresses.map((address) => taskKey(address.jobId, address.bucket, address.task));
  return [...new Map(keys.map((key) => [`${key.pk} ${key.sk}`, key])).values()];
}
