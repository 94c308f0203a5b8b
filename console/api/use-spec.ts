import { useQuery } from "@tanstack/react-query";
import { api } from "./client.ts";

/** What a job was submitted as, but for its tasks: read once, for it never changes. */
export function useSpec(job: string) {
  return useQuery({
    queryKey: ["spec", job],
    queryFn: ({ signal }) => api.getJobSpec(job, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
}
