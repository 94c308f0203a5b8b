import { AppError } from "../../shared/domain/errors.ts";
import type { JobRepository } from "../../shared/repository/jobs.ts";

/** Lets jobs in as long as their pool has not too many that have not ended. */
export interface JobGate {
  /** The refusal, or undefined: then the job counts. */
  admit(pool: string): Promise<AppError | undefined>;
}

/** How long a process trusts what it has counted, far from the limit. */
const rememberMs = 5_000;
const retryAfterSeconds = 10;

/**
 * Counts a pool's unfinished jobs before another is let in; up to half of the limit one count serves for a few seconds.
 * Submits at the same moment do not see each other, so a few jobs more than the limit may get in.
 */
export function createJobGate(jobs: Pick<JobRepository, "countActive">, limit: number, now: () => number): JobGate {
  const counted = new Map<string, { count: number; atMs: number }>();
  return {
    async admit(pool) {
      const known = counted.get(pool);
      if (known && now() - known.atMs < rememberMs && known.count < limit / 2) {
        known.count += 1;
        return undefined;
      }
      const count = await jobs.countActive(pool, limit);
      counted.set(pool, { count: count + 1, atMs: now() });
      return count < limit ? undefined : refuse(pool, limit);
    },
  };
}

function refuse(pool: string, limit: number): AppError {
  const detail = `pool ${pool} has ${limit} jobs that have not ended, as many as it may have; try again when some have, or cancel one (\`sluice ps\` lists them)`;
  return new AppError("too_many_jobs", detail, { details: { retryAfterSeconds } });
}
