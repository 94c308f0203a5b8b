import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Task } from "../../shared/api/schemas.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { api } from "../api/client.ts";

/** A task, read again with each event about it. */
export function useTask(job: string, task: string) {
  const queries = useQueryClient();
  const read = useQuery({
    queryKey: ["task", job, task],
    queryFn: ({ signal }) => api.getTask(job, task, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const isMoving = read.data !== undefined && !isTerminalTaskState(read.data.status);
  useEffect(() => {
    if (!isMoving) return;
    const stop = new AbortController();
    const follow = async () => {
      const { lastEvent } = await api.getJob(job, { signal: stop.signal });
      // It may have moved between the two reads.
      await queries.invalidateQueries({ queryKey: ["task", job, task] });
      const patience = { giveUpAfterMs: Number.POSITIVE_INFINITY };
      for await (const event of api.followEvents(job, lastEvent, { signal: stop.signal, task, patience })) {
        if (event.type === "task.transition") void queries.invalidateQueries({ queryKey: ["task", job, task] });
      }
    };
    follow().catch((error: unknown) => {
      if (!stop.signal.aborted) queries.setQueryData(["task-stale", job, task], String(error));
    });
    return () => stop.abort();
  }, [isMoving, job, task, queries]);
  return read;
}

/** Why a task waits or ended so; asked again when the task has moved. */
export function useWhy(task: Task | undefined) {
  return useQuery({
    queryKey: ["why", task?.job, task?.task, task?.status, task?.attempt],
    queryFn: ({ signal }) => api.explainTask(task?.job ?? "", task?.task ?? "", { signal }),
    enabled: task !== undefined && task.status !== "completed",
  });
}
