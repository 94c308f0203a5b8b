import { isSilent } from "../../shared/domain/worker-state.ts";
import type { WorkerItem } from "../../shared/repository/workers.ts";
import type { Deps } from "../deps.ts";
import { mostNotedForAnswer, noteSilent } from "./liveness.ts";
import { listPoolNames } from "./pools.ts";
import { createSharedLook } from "./shared-look.ts";

/** Workers that are watched, at most: those that live come before those that went. */
const workersWatched = 200;
/** The newest workers on record, among which are those that went lately. */
const newestRead = 100;
/** A worker that was last heard of longer ago is none that went lately. */
const latelyMs = 24 * 3600_000;
/** A little less than two seconds, so that a look every two is one. */
const liveMs = 1_900;
const wentMs = 9_900;

/** Looks at the workers that live and at those that went lately; looks are shared by all that read with it. */
export function createWorkerReader(deps: Deps): () => Promise<WorkerItem[]> {
  const went = createSharedLook(async () => (await deps.workers.list({ limit: newestRead })).workers, wentMs, deps.now);
  let lastLive = "";
  const look = createSharedLook(
    async () => {
      const live = await readLive(deps);
      // One that does not live any more went; so did one that lives again come back.
      const nowLive = live.map(({ workerId }) => workerId).join(" ");
      if (nowLive !== lastLive) went.forget();
      lastLive = nowLive;
      const since = deps.now() - latelyMs;
      const known = new Set(live.map(({ workerId }) => workerId));
      const others = (await went.take()).filter(
        ({ workerId, lastSeenMs }) => !known.has(workerId) && lastSeenMs >= since,
      );
      return [...live, ...others].slice(0, workersWatched);
    },
    liveMs,
    deps.now,
  );
  return () => look.take();
}

/** Workers of all pools that have not ended, the oldest first: who is watched goes on being watched. */
async function readLive(deps: Deps): Promise<WorkerItem[]> {
  const pools = await listPoolNames(deps);
  const pages = await Promise.all(pools.map((pool) => deps.workers.listActive(pool, workersWatched)));
  const active = pages.flatMap(({ items }) => items);
  await noteSilent(deps, active, { most: mostNotedForAnswer });
  return active
    .filter((worker) => !isSilent(worker, deps.now()))
    .sort((a, b) => (a.workerId < b.workerId ? -1 : 1))
    .slice(0, workersWatched);
}
