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
    const follow = async () => {
      // A page that was in the background has its list still; the stream tells what has changed.
      if (readFor.current !== filter) {
        change({ isReading: true, error: undefined });
        const page = await api.listJobs({ ...filter, limit: pageSize }, { signal });
        setList({ ...empty, jobs: page.jobs, older: page.cursor, isReading: false });
        readFor.current = filter;
      }
      const stream = api.followJobs(
        { ...filter, limit: pageSize },
        {
          signal,
          patience: { giveUpAfterMs: Number.POSITIVE_INFINITY },
          onStatus: ({ status }) => {
            clearTimeout(staleTimer);
            if (status === "connected") change({ isStale: false });
            else staleTimer = setTimeout(() => change({ isStale: true }), staleMs);
          },
        },
      );
      for await (const news of stream) setList((before) => ({ ...before, jobs: takeChange(before.jobs, news) }));
    };
    follow().catch((error: unknown) => {
      if (!signal.aborted) change({ isReading: false, error: error as Error });
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
      setList((before) => ({ ...before, jobs: [...before.jobs, ...page.jobs], older: page.cursor, isReading: false }));
    } catch (error) {
      change({ isReading: false, error: error as Error });
    }
  };
  const restart = () => {
    readFor.current = undefined;
    setRound((count) => count + 1);
  };
  return { ...list, readOlder: () => void readOlder(), restart };
}

/** A job takes the place of what was known of it, or its own among the others. */
function takeChange(jobs: readonly Job[], change: JobChange): readonly Job[] {
  if (change.kind === "left") return jobs.filter(({ job }) => job !== change.jobId);
  const { job } = change;
  const at = jobs.findIndex((known) => known.job === job.job);
  if (at >= 0) return jobs.with(at, job);
  return [...jobs, job].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}
