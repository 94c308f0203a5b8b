import { useEffect } from "react";
import { api } from "../api/client.ts";
import { useVisible } from "../app/visible.ts";
import type { LogModel } from "./log-model.ts";

interface AttemptPlace {
  job: string;
  task: string;
  attempt: number;
}

/** Follows what an attempt writes while somebody looks: its steps, and those of its services that are unfolded. */
export function useFollow(model: LogModel, place: AttemptPlace, isRunning: boolean): void {
  const isFollowed = useVisible() && isRunning;
  const services = model.sections.flatMap(({ choice, folded }) => (choice.service && !folded ? choice.service : []));
  const unfolded = services.join(" ");
  useEffect(() => {
    if (isFollowed) return startFollowing(model, place, [undefined]);
  }, [model, place, isFollowed]);
  useEffect(() => {
    if (isFollowed && unfolded !== "") return startFollowing(model, place, unfolded.split(" "));
  }, [model, place, isFollowed, unfolded]);
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
