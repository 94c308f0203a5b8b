import { taskBucket } from "../../shared/domain/ids.ts";
import { retryListKey } from "../../shared/domain/object-keys.ts";
import { listRetried, planRetry, type RetryableTask, type RetryPlan } from "../../shared/domain/retry-plan.ts";
import { buildTaskGraph } from "../../shared/domain/task-graph.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";

/** The tasks that a retry is about, each as it was when it was asked for: one that moved since is not retried again. */
export interface RetryList {
  chosen: [task: string, rev: number][];
  /** How many others begin again with them. */
  dependants: number;
}

const noGraph = buildTaskGraph(new Map());

export async function putRetryList(deps: Deps, jobId: string, nonce: string, list: RetryList): Promise<void> {
  await deps.objects.put(retryListKey(jobId, nonce), JSON.stringify(list), "application/json");
}

export async function getRetryList(deps: Deps, jobId: string, nonce: string): Promise<RetryList> {
  const stored = await deps.objects.get(retryListKey(jobId, nonce));
  if (!stored) throw new Error(`the list of retry ${nonce} of ${jobId} is gone`);
  return JSON.parse(Buffer.from(stored).toString("utf8")) as RetryList;
}

/** Plans a retry by the tasks as they are now; also answers the tasks it was planned by. */
export async function planByTasks(
  deps: Deps,
  digest: JobDigest,
  chosen: ReadonlyMap<string, number>,
  wasCancelled: boolean,
): Promise<{ plan: RetryPlan; items: ReadonlyMap<string, TaskItem> }> {
  const graph = digest.graph ? await deps.graphs.get(digest.jobId) : noGraph;
  const retried = listRetried(graph, chosen.keys());
  const names = new Set([...retried, ...[...retried].flatMap((task) => graph.needs.get(task) ?? [])]);
  const { jobId, bucketCount } = digest;
  const addresses = [...names].map((task) => ({ jobId, task, bucket: taskBucket(task, bucketCount) }));
  const items = new Map((await deps.tasks.getMany(addresses)).map((item) => [item.task, item]));
  const tasks = new Map(
    [...items].map(([name, item]): [string, RetryableTask] => {
      const isChosen = isTerminalTaskState(item.state) && chosen.get(name) === item.rev;
      return [name, { state: item.state, chosen: isChosen, returns: neverRan(item, wasCancelled) }];
    }),
  );
  return { plan: planRetry(graph, tasks), items };
}

/** It ended because of what it needs, or was waiting when the whole job was ended: not by a wish about this very task. */
function neverRan({ state, outcome, startedAt }: TaskItem, wasCancelled: boolean): boolean {
  if (outcome?.reason?.code === "dependency_failed") return true;
  return wasCancelled && startedAt === undefined && (state === "aborted" || state === "timed_out");
}
