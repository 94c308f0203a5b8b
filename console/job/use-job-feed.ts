import { useMemo } from "react";
import { api } from "../api/client.ts";
import { JobFeed } from "../api/job-feed.ts";
import { useLive } from "../api/use-live.ts";

/** A job as it changes, for as long as the page is there. The component is drawn again with each change. */
export function useJobFeed(jobId: string): JobFeed {
  return useLive(useMemo(() => new JobFeed(api, jobId), [jobId]));
}
