import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Task } from "../../shared/api/schemas.ts";
import { backoffMs } from "../../shared/api-client/backoff.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import { api } from "../api/client.ts";
import { mayPass, readAgain, staleMs } from "../api/live.ts";
import { useVisible } from "../app/visible.ts";

/** A task that has ended is looked at so often, while somebody sees it: it may be run again. */
const endedLookMs = 10_000;
const againBackoff = { firstMs: 1_000, longestMs: 10_000 };

/** A task as it was read last, and again each time something asks for it. */
export function useTaskRead(job: string, task: string) {
  return useQuery({
    queryKey: ["task", job, task],
    queryFn: ({ signal }) => api.getTask(job, task, { signal }),
    // What was read on an earlier visit may be shown at once, but is not trusted.
    refetchOnMount: "always",
    refetchInterval: (query) => {
      const { data } = query.state;
      return readAgain(query) || (data && isTerminalTaskState(data.status) ? endedLookMs : false);
    },
  });
}

/** A task, read again with each event about it; `isStale` where contact is lost. */
export function useTask(job: string, task: string) {
  const queries = useQueryClient();
  const read = useTaskRead(job, task);
  const isVisible = useVisible();
  const [isCut, setCut] = useState(false);
  const isMoving = read.data !== undefined && !isTerminalTaskState(read.data.status);
  useEffect(() => {
    setCut(false);
    if (!isMoving || !isVisible) return;
    const stop = new AbortController();
    const { signal } = stop;
    const queryKey = ["task", job, task];
    let cutTimer: ReturnType<typeof setTimeout> | undefined;
    let againTimer: ReturnType<typeof setTimeout> | undefined;
    let wasLost = false;
    const noteContact = (isThere: boolean) => {
      if (!isThere) {
        wasLost = true;
        // Each try that fails is told: it counts from the first.
        cutTimer ??= setTimeout(() => setCut(true), staleMs);
        return;
      }
      clearTimeout(cutTimer);
      cutTimer = undefined;
      setCut(false);
      // What was asked meanwhile may have had no answer.
      if (wasLost) void queries.invalidateQueries({ queryKey });
      wasLost = false;
    };
    const follow = async () => {
      const { lastEvent } = await api.getJob(job, { signal });
      // It may have moved between the two reads.
      await queries.invalidateQueries({ queryKey });
      const stream = api.followEvents(job, lastEvent, {
        signal,
        task,
        patience: { giveUpAfterMs: Number.POSITIVE_INFINITY },
        onStatus: ({ status }) => noteContact(status === "connected"),
      });
      for await (const event of stream) {
        if (event.type === "task.transition") void queries.invalidateQueries({ queryKey });
      }
      // The job has ended, and with it this task.
      await queries.invalidateQueries({ queryKey });
    };
    const keepFollowing = (tries: number) => {
      follow().catch((error: unknown) => {
        if (signal.aborted) return;
        noteContact(false);
        if (mayPass(error)) againTimer = setTimeout(() => keepFollowing(tries + 1), backoffMs(againBackoff, tries));
      });
    };
    keepFollowing(1);
    return () => {
      clearTimeout(cutTimer);
      clearTimeout(againTimer);
      stop.abort();
    };
  }, [isMoving, isVisible, job, task, queries]);
  return { ...read, isStale: isCut || read.error !== null };
}

/** What a task waits for, or in which step it is, changes without a move of its own: looked at so often while seen. */
const whyLookMs = 15_000;

/** Why a task waits or ended so; asked again when the task has moved. */
export function useWhy(task: Task) {
  return useQuery({
    queryKey: ["why", task.job, task.task, task.status, task.attempt],
    queryFn: ({ signal }) => api.explainTask(task.job, task.task, { signal }),
    enabled: task.status !== "completed",
    refetchInterval: (query) => readAgain(query) || (isTerminalTaskState(task.status) ? false : whyLookMs),
  });
}
