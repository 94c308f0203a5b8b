import { useEffect, useState } from "react";
import type { JobQuery } from "../../shared/api-client/index.ts";
import { api } from "../api/client.ts";
import { JobListFeed } from "../api/job-list-feed.ts";
import { useLive } from "../api/use-live.ts";

/** The jobs that are wanted, as they change, for as long as the page is there. */
export function useJobs(filter: JobQuery): JobListFeed {
  const [feed] = useState(() => new JobListFeed(api, filter));
  useEffect(() => feed.want(filter), [feed, filter]);
  return useLive(feed);
}
