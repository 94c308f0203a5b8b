/**
 * State of a pool, derived from each of its workers' ends: `alive`; `degraded`: one was lost lately, or there are fewer
 * than desired; `scaled_down`: none left, all ended in order; `crashed`: none left, and one was lost; `unknown`: none
 * was ever seen.
 */
export const poolStates = ["alive", "degraded", "scaled_down", "crashed", "unknown"] as const;
export type PoolState = (typeof poolStates)[number];

/** A loss degrades its pool for this long. */
export const recentLossMs = 10 * 60_000;
/** Losses that are remembered at most: one is enough to tell a crash. */
const maxLosses = 50;

/** A worker that was lost, or that left attempts behind when it stopped. `replaced`: another has started since. */
export interface PoolLoss {
  workerId: string;
  at: string;
  replaced?: boolean;
}

/** What is counted of a pool: `live` are its workers that are alive or draining. */
export interface PoolCounts {
  live: number;
  losses: readonly PoolLoss[];
}

/** What became of one worker, as its pool sees it. `wasLive`: it was counted until then. */
export type PoolChange =
  | { kind: "started" | "returned"; workerId: string }
  | { kind: "clean" | "abandoned" | "lost"; workerId: string; wasLive: boolean };

/** A change of the number of live workers. */
export type ScaleChange =
  | { type: "scale_up"; from: number; to: number; kind: "started" | "returned"; recoveredFrom?: "crashed" | "degraded" }
  | { type: "scale_down"; from: number; to: number; kind: "clean" | "abandoned" | "lost" };

/** `lastSeenMs` is 0 where none of its workers was ever heard of. */
export function derivePoolState(pool: PoolCounts & { lastSeenMs: number; desired?: number }, nowMs: number): PoolState {
  const { live, losses, lastSeenMs, desired = 0 } = pool;
  if (lastSeenMs === 0) return "unknown";
  if (live === 0) return losses.some(({ replaced }) => !replaced) ? "crashed" : "scaled_down";
  return live < desired || losses.some(({ at }) => isRecent(at, nowMs)) ? "degraded" : "alive";
}

/**
 * Counts one worker's change. A loss is made good by the worker's return, or by one that starts after it; where none is
 * left a start makes all of them good.
 */
export function changePool(
  { live, losses }: PoolCounts,
  change: PoolChange,
  nowMs: number,
): { counts: PoolCounts; scale?: ScaleChange } {
  const { kind, workerId } = change;
  const others = losses.filter((loss) => loss.workerId !== workerId);
  switch (kind) {
    case "started":
    case "returned": {
      const isOpen = (loss: PoolLoss) => !loss.replaced;
      const crashed = live === 0 && losses.some(isOpen);
      const madeGood = kind === "returned" ? others.length < losses.length : losses.some(isOpen);
      const recoveredFrom = crashed ? "crashed" : madeGood ? "degraded" : undefined;
      const scale = { type: "scale_up", from: live, to: live + 1, kind } as const;
      return {
        counts: { live: live + 1, losses: prune(kind === "started" ? replace(others, live === 0) : others, nowMs) },
        scale: recoveredFrom ? { ...scale, recoveredFrom } : scale,
      };
    }
    case "clean":
    case "abandoned":
    case "lost": {
      const loss = kind === "clean" ? [] : [{ workerId, at: new Date(nowMs).toISOString() }];
      const to = Math.max(0, live - 1);
      const counts = { live: change.wasLive ? to : live, losses: prune([...others, ...loss], nowMs) };
      return change.wasLive ? { counts, scale: { type: "scale_down", from: live, to, kind } } : { counts };
    }
  }
}

/** One worker takes the place of the one that was lost first, or of all where there was none left. */
function replace(losses: readonly PoolLoss[], all: boolean): PoolLoss[] {
  const oldest = losses.findIndex(({ replaced }) => !replaced);
  return losses.map((loss, index) => (all || index === oldest ? { ...loss, replaced: true } : loss));
}

function prune(losses: readonly PoolLoss[], nowMs: number): PoolLoss[] {
  return losses.filter(({ at, replaced }) => !replaced || isRecent(at, nowMs)).slice(-maxLosses);
}

function isRecent(at: string, nowMs: number): boolean {
  return nowMs - Date.parse(at) < recentLossMs;
}
