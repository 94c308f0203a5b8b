import { jobIdPattern } from "../domain/ids.ts";
import { jobRules } from "../jobfile/rules.ts";
import type { JobDigest, TaskItem } from "./items.ts";
import type { StoredSpec } from "./jobs.ts";
import { digestKey, specKey, taskKey } from "./keys.ts";
import { getItems, type Table } from "./table.ts";

/** A task a worker asks for. */
export interface TaskAddress {
  jobId: string;
  bucket: number;
  task: string;
}

/** What a claim is decided by; a missing job or task is absent. */
export interface ClaimInputs {
  digest(jobId: string): JobDigest | undefined;
  spec(jobId: string): StoredSpec | undefined;
  task(address: TaskAddress): TaskItem | undefined;
}

const rememberedSpecs = 200;

/**
 * Reads what several claims need in one request. Specs never change, so this process remembers those it has read. An
 * address that cannot be one of a task is not asked for: the table would refuse the whole request.
 */
export function createClaimReader(table: Table): (addresses: readonly TaskAddress[]) => Promise<ClaimInputs> {
  const specs = new Map<string, StoredSpec>();
  return async (requested) => {
    const addresses = requested.filter(isPossibleAddress);
    const jobIds = [...new Set(addresses.map((address) => address.jobId))];
    const items = await getItems(table, [
      ...jobIds.map(digestKey),
      ...jobIds.filter((jobId) => !specs.has(jobId)).map(specKey),
      ...uniqueKeys(addresses),
    ]);
    const byKey = new Map(items.map((item) => [`${item.pk} ${item.sk}`, item]));
    const find = (key: { pk: string; sk: string }) => byKey.get(`${key.pk} ${key.sk}`);
    const read = new Map<string, StoredSpec>();
    for (const jobId of jobIds) {
      const stored = find(specKey(jobId));
      const spec = stored ? (JSON.parse(String(stored.spec)) as StoredSpec) : specs.get(jobId);
      if (!spec) continue;
      read.set(jobId, spec);
      specs.delete(jobId);
      specs.set(jobId, spec);
    }
    while (specs.size > rememberedSpecs) specs.delete(specs.keys().next().value ?? "");
    return {
      digest: (jobId) => find(digestKey(jobId)) as JobDigest | undefined,
      spec: (jobId) => read.get(jobId),
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
