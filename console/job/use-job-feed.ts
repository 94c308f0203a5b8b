import { useMemo, useSyncExternalStore } from "react";
import { api } from "../api/client.ts";
import { JobFeed } from "../api/job-feed.ts";

/** A job as it changes, for as long as the page is there. The component is drawn again with each change. */
export function useJobFeed(jobId: string): JobFeed {
  const feed = useMemo(() => new JobFeed(api, jobId), [jobId]);
  useSyncExternalStore(feed.subscribe, feed.getVersion);
  return feed;
}
