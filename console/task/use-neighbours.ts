import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { api } from "../api/client.ts";
import { compareNames } from "../api/name-order.ts";

/** Names that are read for this at most: of a larger job the page of the job leads to its tasks. */
const mostTasks = 1000;

/** The tasks before and after one in its job, in the order of the job's page; undefined where there are too many. */
export function useNeighbours(job: string, task: string) {
  const { data: names } = useQuery({
    queryKey: ["task-names", job],
    queryFn: async ({ signal }) => {
      const { tasks, cursor } = await api.listTaskBriefs(job, { limit: mostTasks }, { signal });
      return cursor === undefined ? tasks.map((brief) => brief.task).sort(compareNames) : [];
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
  return useMemo(() => {
    const at = names?.indexOf(task) ?? -1;
    if (!names || at < 0 || names.length < 2) return undefined;
    return { place: at + 1, count: names.length, before: names[at - 1], after: names[at + 1] };
  }, [names, task]);
}
