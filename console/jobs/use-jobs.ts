import { useCallback, useEffect, useRef, useState } from "react";
import type { Job } from "../../shared/api/schemas.ts";
import type { JobChange, JobQuery } from "../../shared/api-client/index.ts";
import { api } from "../api/client.ts";
import { staleMs } from "../api/job-feed.ts";
import { useVisible } from "../app/visible.ts";

const pageSize = 50;

interface JobList {
  jobs: readonly Job[];
  /** Where the older ones begin; undefined where there are none. */
  older: string | undefined;
  isReading: boolean;
  isStale: boolean;
  error: Error | undefined;
}

const empty: JobList = { jobs: [], older: undefined, isReading: true, isStale: false, error: undefined };

/** The jobs that are wanted: a page, then what changes of it and what is new; older ones when they are asked for. */
export function useJobs(filter: JobQuery) {
  const [list, setList] = useState(empty);
  const [round, setRound] = useState(0);
  const readFor = useRef<JobQuery>(undefined);
  const isVisible = useVisible();
  const change = useCallback((part: Partial<JobList>) => setList((before) => ({ ...before, ...part })), []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round reads all again
  useEffect(() => {
    if (!isVisible) return;
    const stop = new AbortController();
    const { signal } = stop;
    let staleTimer: ReturnType<typeof setTimeout> | undefined;
    let isCut = false;
    const follow = async () => {
      change({ isReading: true, error: undefined });
      const page = await api.listJobs({ ...filter, limit: pageSize }, { signal });
      // What left the filter meanwhile is not told.
      const mayKeep = readFor.current === filter && Object.values(filter).every((value) => value === undefined);
      readFor.current = filter;
      // A page that was in the background keeps what it has, unless more jobs came meanwhile than a page holds.
      setList((before) =>
        mayKeep && page.jobs.some(({ job }) => before.jobs.some((known) => known.job === job))
          ? { ...before, jobs: page.jobs.reduce(takeJob, before.jobs), isReading: false, isStale: false }
          : { ...empty, jobs: page.jobs, older: page.cursor, isReading: false },
      );
      const stream = api.followJobs(
        { ...filter, limit: pageSize },
        {
          signal,
          patience: { giveUpAfterMs: Number.POSITIVE_INFINITY },
          onStatus: ({ status }) => {
            clearTimeout(staleTimer);
            if (status === "lost") {
              staleTimer = setTimeout(() => {
                isCut = true;
                change({ isStale: true });
              }, staleMs);
            } else if (isCut) setRound((count) => count + 1);
          },
        },
      );
      for await (const news of stream) setList((before) => ({ ...before, jobs: takeChange(before.jobs, news) }));
    };
    follow().catch((error: unknown) => {
      if (!signal.aborted) change({ isReading: false, error: toError(error) });
    });
    return () => {
      clearTimeout(staleTimer);
      stop.abort();
    };
  }, [filter, isVisible, round, change]);

  const readOlder = async () => {
    change({ isReading: true });
    try {
      const page = await api.listJobs({ ...filter, limit: pageSize, cursor: list.older });
      // Other jobs may be wanted by now.
      if (readFor.current !== filter) return;
      setList((before) => ({
        ...before,
        jobs: page.jobs.reduce(takeJob, before.jobs),
        older: page.cursor,
        isReading: false,
        error: undefined,
      }));
    } catch (error) {
      if (readFor.current === filter) change({ isReading: false, error: toError(error) });
    }
  };
  const restart = () => {
    readFor.current = undefined;
    setRound((count) => count + 1);
  };
  return { ...list, readOlder: () => void readOlder(), restart };
}

function takeChange(jobs: readonly Job[], change: JobChange): readonly Job[] {
  if (change.kind === "left") return jobs.filter(({ job }) => job !== change.jobId);
  return takeJob(jobs, change.job);
}

/** A job takes the place of what was known of it, or its own among the others. */
function takeJob(jobs: readonly Job[], job: Job): readonly Job[] {
  const at = jobs.findIndex((known) => known.job === job.job);
  if (at >= 0) return jobs.with(at, job);
  return [...jobs, job].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
