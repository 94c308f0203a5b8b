import type { ForgottenPool, Pool } from "../../shared/api/schemas.ts";
import { AppError } from "../../shared/domain/errors.ts";
import { derivePoolState } from "../../shared/domain/pool-state.ts";
import { isSilent } from "../../shared/domain/worker-state.ts";
import type { PoolItem } from "../../shared/repository/pools.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import type { Deps } from "../deps.ts";
import { mostNotedForAnswer, noteSilent } from "./liveness.ts";

/** Workers of a pool that are looked at for its counts, at most: beyond that it says that there are more. */
const workersRead = 1000;
/** Workers that one call to forget a pool looks through. */
const pastWorkersRead = 1000;
const pastPageSize = 100;
/** Live workers that a refusal names. */
const namedWorkers = 3;

/** All pools: those that jobs can be sent to, and those that workers were ever seen of. */
export async function listPools(deps: Deps): Promise<Pool[]> {
  return Promise.all((await listPoolNames(deps)).map((name) => describePool(deps, name)));
}

/** The names of all pools. */
export async function listPoolNames(deps: Deps): Promise<string[]> {
  const seen = await deps.poolRecords.list();
  return [...new Set([...deps.pools.keys(), ...seen.map(({ pool }) => pool)])].sort();
}

/** One pool as it is now; that workers of it are lost is written down first, unless they are very many. */
export async function describePool(deps: Deps, name: string): Promise<Pool> {
  const { items, more } = await deps.workers.listActive(name, workersRead);
  await noteSilent(deps, items, { most: mostNotedForAnswer });
  const nowMs = deps.now();
  const workers = items.filter((worker) => !isSilent(worker, nowMs));
  return viewPool(deps, name, { workers, more }, await deps.poolRecords.get(name));
}

function viewPool(
  deps: Deps,
  name: string,
  { workers, more }: { workers: readonly WorkerItem[]; more: boolean },
  record: PoolItem | undefined,
): Pool {
  const count = (state: WorkerItem["state"]) => workers.filter((worker) => worker.state === state).length;
  const alive = workers.filter(({ state }) => state === "alive");
  const sum = (of: readonly WorkerItem[], what: (worker: WorkerItem) => number) =>
    of.reduce((total, worker) => total + what(worker), 0);
  const lastSeenMs = Math.max(record?.lastSeenMs ?? 0, ...workers.map((worker) => worker.lastSeenMs));
  return {
    pool: name,
    state: record ? derivePoolState(record, deps.now()) : "unknown",
    configured: deps.pools.has(name),
    workers: { starting: count("starting"), alive: alive.length, draining: count("draining") },
    ...(record?.desired === undefined ? {} : { desired: record.desired }),
    slots: sum(alive, ({ slots }) => slots),
    slotsFree: sum(alive, ({ slotsFree }) => slotsFree),
    held: sum(workers, ({ held }) => held),
    more,
    ...(lastSeenMs > 0 ? { lastSeenAt: new Date(lastSeenMs).toISOString() } : {}),
    losses: (record?.losses ?? []).map(({ workerId, at, replaced = false }) => ({ workerId, at, replaced })),
  };
}

/** Says how many workers a pool should have; fewer degrade it. */
export async function desireWorkers(
  deps: Deps,
  pool: string,
  { desired, by }: { desired: number | null; by: string },
): Promise<Pool> {
  if (!(await isKnown(deps, pool))) throw unknownPool(pool);
  await deps.poolRecords.setDesired(pool, desired ?? undefined, by, deps.now());
  return describePool(deps, pool);
}

/**
 * Removes a pool's past workers, and takes it off the list unless jobs can be sent to it; without `apply` it only tells
 * which records these are. A pool with live workers is refused. Its events stay until their time is over.
 */
export async function forgetPool(
  deps: Deps,
  pool: string,
  { by, apply, cursor }: { by: string; apply: boolean; cursor?: string | undefined },
): Promise<ForgottenPool> {
  if (!(await isKnown(deps, pool))) throw unknownPool(pool);
  const { items } = await deps.workers.listActive(pool, workersRead);
  await noteSilent(deps, items);
  const live = items.filter((worker) => !isSilent(worker, deps.now()));
  if (live.length > 0) {
    const names = live.slice(0, namedWorkers).map(({ workerId }) => workerId);
    const others = live.length > namedWorkers ? ` and ${live.length - namedWorkers} more` : "";
    throw new AppError("conflict", `pool ${pool} has live workers (${names.join(", ")}${others}); drain them first`);
  }
  const found: string[] = [];
  let next = cursor;
  for (let read = 0; read < pastWorkersRead; read += pastPageSize) {
    const page = await deps.workers.list({ limit: pastPageSize, cursor: next });
    const past = page.workers.filter((worker) => worker.pool === pool);
    for (const { workerId } of past) {
      if (!apply || (await deps.workers.forget(workerId))) found.push(workerId);
    }
    next = page.cursor;
    if (next === undefined) break;
  }
  const answer = { pool, applied: apply, workers: found, ...(next === undefined ? {} : { cursor: next }) };
  if (!apply || next !== undefined) return answer;
  if (await deps.poolRecords.forget(pool, by, deps.now())) return answer;
  throw new AppError("conflict", `a worker of pool ${pool} has started meanwhile; drain it first`);
}

async function isKnown(deps: Deps, pool: string): Promise<boolean> {
  return deps.pools.has(pool) || (await deps.poolRecords.get(pool)) !== undefined;
}

function unknownPool(pool: string): AppError {
  return new AppError("not_found", `no pool ${pool} is known here; GET /v1/pools lists them`);
}
