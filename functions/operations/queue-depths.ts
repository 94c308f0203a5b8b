import type { QueueDepth } from "../../shared/api/overview-schemas.ts";
import type { Deps, Pool } from "../deps.ts";
import { createSharedLook, type SharedLook } from "./shared-look.ts";

/** SQS answers within milliseconds; one that does not must not hold up the others. */
const measureDeadlineMs = 2_000;
/** Records of dead letters that are counted for each pool, at most. */
const recordsCounted = 100;

/** Asks the queues of all pools at once; records of dead letters, which seldom change, are counted every `recordsMs`. */
export function createQueueReader(deps: Deps, recordsMs: number): () => Promise<QueueDepth[]> {
  const records = new Map<string, SharedLook<number>>();
  const countRecords = (pool: string): Promise<number> => {
    const count = () => deps.deadLetters.countOpen(pool, recordsCounted);
    const shared = records.get(pool) ?? createSharedLook(count, recordsMs, deps.now);
    records.set(pool, shared);
    return shared.take();
  };
  return () =>
    Promise.all(
      [...deps.pools.values()]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(async (pool) => {
          const [depth, open] = await Promise.all([measurePool(deps, pool), countRecords(pool.name)]);
          if (depth.deadLetters === undefined) return depth;
          return { ...depth, deadLetters: depth.deadLetters + open };
        }),
    );
}

async function measurePool({ log }: Pick<Deps, "log">, { name, gauge, deadLetterGauge }: Pool): Promise<QueueDepth> {
  try {
    const [depth, dead] = await Promise.all([
      gauge.measure(measureDeadlineMs),
      deadLetterGauge.measure(measureDeadlineMs),
    ]);
    return { pool: name, ...depth, deadLetters: dead.visible + dead.inFlight + dead.delayed };
  } catch (error) {
    log.warn({ err: error, pool: name }, "a queue could not be asked how deep it is");
    const reason = error instanceof Error ? error.name : "unknown";
    return { pool: name, error: `SQS could not be asked (${reason})` };
  }
}
