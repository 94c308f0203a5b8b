import { jobUlid } from "../../shared/domain/ids.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import type { JobDigest } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";

/** Unfinished jobs of one pool that are counted, at most. */
const jobsCounted = 1000;
/** Unfinished jobs of one pool that are looked at for the oldest with queued tasks, at most. */
const oldestRead = 50;

/** The unfinished jobs of some pools, of which only the newest and each pool's oldest were read. */
export interface ActiveJobs {
  newest: JobDigest[];
  count: number;
  /** True where there are more than were counted. */
  more: boolean;
  /** Since when a pool's tasks wait at most, as far as its oldest jobs tell. */
  oldestQueuedAt: ReadonlyMap<string, string>;
}

/** Looks at the unfinished jobs of these pools. What that costs does not depend on how many have ended. */
export async function readActiveJobs(
  { jobs }: Pick<Deps, "jobs">,
  pools: readonly string[],
  newestRead: number,
): Promise<ActiveJobs> {
  const ofPools = await Promise.all(pools.map((pool) => listOfPool(jobs, pool)));
  const newestIds = ofPools
    .flatMap(({ newest }) => newest)
    .sort((a, b) => (jobUlid(a) < jobUlid(b) ? 1 : -1))
    .slice(0, newestRead);
  const wanted = [...new Set([...newestIds, ...ofPools.flatMap(({ oldest }) => oldest)])];
  // The index may be a moment behind the digests: of a job that has ended by now it still tells.
  const digests = (await jobs.getDigests(wanted)).filter(({ state }) => !isTerminalJobState(state));
  const byId = new Map(digests.map((digest) => [digest.jobId, digest]));
  const oldestQueuedAt = new Map<string, string>();
  for (const { pool, oldest } of ofPools) {
    const waits = oldest.map((jobId) => byId.get(jobId)).find((job) => job !== undefined && hasWaitedSinceSubmit(job));
    if (waits) oldestQueuedAt.set(pool, waits.createdAt);
  }
  return {
    newest: newestIds.flatMap((jobId) => byId.get(jobId) ?? []),
    count: ofPools.reduce((count, { newest }) => count + newest.length, 0) - (wanted.length - digests.length),
    more: ofPools.some(({ more }) => more),
    oldestQueuedAt,
  };
}

async function listOfPool(jobs: Deps["jobs"], pool: string) {
  const { items: newest, more } = await jobs.listActiveIds({ pool, limit: jobsCounted, first: "newest" });
  const oldest = more
    ? (await jobs.listActiveIds({ pool, limit: oldestRead, first: "oldest" })).items
    : newest.slice(-oldestRead).reverse();
  return { pool, newest, oldest, more };
}

/** Tasks that need others are queued when those have completed: when that was, a digest does not tell. */
function hasWaitedSinceSubmit({ counts, graph, startedAt }: JobDigest): boolean {
  return counts.queued > 0 && (!graph || startedAt === undefined);
}
