import type { Failures, Overview, OverviewJobs, OverviewPart } from "../../shared/api/overview-schemas.ts";
import { isTerminalJobState } from "../../shared/domain/job-state.ts";
import { faultOf, type ReasonCode, reasonCodes } from "../../shared/domain/reason.ts";
import type { JobDigest } from "../../shared/repository/items.ts";
import { viewJob } from "../api/views.ts";
import type { Deps } from "../deps.ts";
import { type ActiveJobs, readActiveJobs } from "./active-jobs.ts";
import { describePool, listPoolNames } from "./pools.ts";
import { createQueueReader } from "./queue-depths.ts";
import { createSharedLook, type SharedLook } from "./shared-look.ts";

/** What changes by the second is looked at this often; a little less than two seconds, so that a look every two is one. */
const quickMs = 1_900;
/** What costs more, or changes seldom. */
const slowMs = 9_900;

const activeJobsShown = 50;
const endedJobsShown = 10;
const recentJobsRead = 200;
const hourMs = 3600_000;
const recentMs = 24 * hourMs;
const eventsShown = 30;

/** One part of an overview, and when it was looked at. */
export type OverviewLook = Pick<Overview, "at" | OverviewPart>;

/** Looks at parts of the overview. What a look costs does not depend on how many jobs there have been. */
export interface OverviewReader {
  read(part: OverviewPart): Promise<OverviewLook>;
}

/** The newest jobs that were submitted lately. */
interface RecentJobs {
  sinceMs: number;
  jobs: JobDigest[];
  more: boolean;
}

/** A reader whose looks are shared by all that read with it. */
export function createOverviewReader(deps: Deps): OverviewReader {
  const { now } = deps;
  const share = <T>(look: () => Promise<T>, forMs: number): SharedLook<T> => createSharedLook(look, forMs, now);
  const at = () => new Date(now()).toISOString();
  const names = share(() => listPoolNames(deps), quickMs);
  const active = share(async () => readActiveJobs(deps, await names.take(), activeJobsShown), quickMs);
  const recent = share(() => readRecentJobs(deps), slowMs);
  const readQueues = createQueueReader(deps, slowMs);
  let lastActive = "";
  const looks: Record<OverviewPart, SharedLook<OverviewLook>> = {
    pools: share(async () => {
      const [time, pools] = [at(), await Promise.all((await names.take()).map((name) => describePool(deps, name)))];
      return { at: time, pools };
    }, quickMs),
    queues: share(async () => {
      const time = at();
      const [queues, { oldestQueuedAt }] = await Promise.all([readQueues(), active.take()]);
      return {
        at: time,
        queues: queues.map((queue) => {
          const since = oldestQueuedAt.get(queue.pool);
          return since === undefined ? queue : { ...queue, oldestQueuedAt: since };
        }),
      };
    }, quickMs),
    jobs: share(async () => {
      const [time, jobs] = [at(), await active.take()];
      // A job that is not active any more has ended, which is news; so it is where one is active again.
      const nowActive = `${jobs.count} ${jobs.newest.map(({ jobId }) => jobId).join(" ")}`;
      if (nowActive !== lastActive) recent.forget();
      lastActive = nowActive;
      return { at: time, jobs: viewJobs(jobs, await recent.take()) };
    }, quickMs),
    failures: share(async () => ({ at: at(), failures: countFailures(await recent.take()) }), quickMs),
    events: share(async () => ({ at: at(), events: await readNewestEvents(deps) }), slowMs),
  };
  return { read: (part) => looks[part].take() };
}

async function readRecentJobs({ jobs, now }: Pick<Deps, "jobs" | "now">): Promise<RecentJobs> {
  // By the hour: a time that moves with each look would be news in itself.
  const sinceMs = Math.floor((now() - recentMs) / hourMs) * hourMs;
  const page = await jobs.list({ limit: recentJobsRead, sinceMs });
  return { sinceMs, jobs: page.jobs, more: page.cursor !== undefined };
}

function viewJobs({ newest, count, more }: ActiveJobs, { jobs }: RecentJobs): OverviewJobs {
  const ended = jobs.filter(({ state }) => isTerminalJobState(state));
  const byEnd = (a: JobDigest, b: JobDigest) => ((a.endedAt ?? "") < (b.endedAt ?? "") ? 1 : -1);
  return {
    active: newest.map(viewJob),
    activeCount: count,
    more,
    ended: ended.sort(byEnd).slice(0, endedJobsShown).map(viewJob),
  };
}

function countFailures({ sinceMs, jobs, more }: RecentJobs): Failures {
  const found = new Map<ReasonCode, Failures["reasons"][number]>();
  for (const { jobId, reasons = {} } of jobs) {
    for (const code of reasonCodes) {
      const attempts = reasons[code] ?? 0;
      if (attempts === 0) continue;
      // The newest job comes first.
      const before = found.get(code) ?? { code, fault: faultOf(code), attempts: 0, jobs: 0, lastJob: jobId };
      found.set(code, { ...before, attempts: before.attempts + attempts, jobs: before.jobs + 1 });
    }
  }
  const reasons = [...found.values()].sort((a, b) => b.attempts - a.attempts);
  return { since: new Date(sinceMs).toISOString(), jobs: jobs.length, more, reasons };
}

async function readNewestEvents({ fleetEvents, limits }: Pick<Deps, "fleetEvents" | "limits">) {
  const maxBytes = limits.eventPageBytes;
  const { events } = await fleetEvents.list({ limit: eventsShown, maxBytes });
  // Those of one move stay together: there may be more than were asked for.
  return events.slice(0, eventsShown);
}
