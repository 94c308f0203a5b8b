import { useEffect } from "react";
import { api } from "../api/client.ts";
import { useVisible } from "../app/visible.ts";
import type { LogModel } from "./log-model.ts";

interface AttemptPlace {
  job: string;
  task: string;
  attempt: number;
}

/** Each takes a connection, and a browser has six to one origin: for all its tabs, and for what else this page reads. */
const mostServices = 2;

/**
 * Follows what an attempt writes while somebody looks: its steps, and the first of its services that are unfolded.
 * Answers the services that are unfolded and yet not followed.
 */
export function useFollow(model: LogModel, place: AttemptPlace, isRunning: boolean): readonly string[] {
  const isFollowed = useVisible() && isRunning;
  const services = model.sections.flatMap(({ choice, folded }) => (choice.service && !folded ? choice.service : []));
  const unfolded = services.slice(0, mostServices).join(" ");
  useEffect(() => {
    if (isFollowed) return startFollowing(model, place, [undefined]);
  }, [model, place, isFollowed]);
  useEffect(() => {
    if (isFollowed && unfolded !== "") return startFollowing(model, place, unfolded.split(" "));
  }, [model, place, isFollowed, unfolded]);
  return isRunning ? services.slice(mostServices) : [];
}

/** A stream for each service that is named, undefined for the steps; answers how to end them. */
function startFollowing(model: LogModel, place: AttemptPlace, logs: readonly (string | undefined)[]): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const { job, task, attempt } = place;
  const options = { signal, patience: { giveUpAfterMs: Number.POSITIVE_INFINITY } };
  for (const service of logs) {
    const follow = async () => {
      const lines = api.followLog(job, task, { attempt, service, tail: 1 }, options);
      for await (const { line } of lines) model.addLine(line);
    };
    follow().catch((error: unknown) => {
      if (!signal.aborted) model.fail(error);
    });
  }
  return () => stop.abort();
}
