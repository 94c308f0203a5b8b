import { AppError } from "../../shared/domain/errors.ts";
import type { TaskMessage } from "../../shared/domain/task-message.ts";
import type { Deps, Pool } from "../deps.ts";

/** A task to be announced to its pool. */
export interface DispatchableTask {
  jobId: string;
  task: string;
  bucket: number;
  slots: number;
  /** Absent is the first. */
  rev?: number;
}

/** The pool of a job; a pool that is not known is the caller's error. */
export function findPool(deps: Pick<Deps, "pools">, name: string): Pool {
  const pool = deps.pools.get(name);
  if (pool) return pool;
  const known = [...deps.pools.keys()].join(", ");
  throw new AppError("unknown_pool", `there is no pool "${name}"; the pools are: ${known}`);
}

/** Sends one message for each task. Sending one twice does no harm: a claim decides, not a message. */
export async function dispatchTasks(
  pool: Pool,
  tasks: readonly DispatchableTask[],
  delaySeconds?: number,
): Promise<void> {
  await pool.queue.send(
    tasks.map(({ jobId, task, bucket, slots, rev = 1 }) => {
      const message: TaskMessage = { v: 1, jobId, task, bucket, slots, ...(rev > 1 ? { rev } : {}) };
      return { body: JSON.stringify(message), groupId: jobId, ...(delaySeconds ? { delaySeconds } : {}) };
    }),
  );
}
