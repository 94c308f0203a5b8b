import { setTimeout as delay } from "node:timers/promises";
import type { LiveArtifact } from "../../shared/api/artifact-schemas.ts";
import { type ApiClient, ApiError } from "../../shared/api-client/index.ts";

type Stored = Extract<LiveArtifact, { status: "stored" }>;

/** What a running task has written so far, or why there is none; `ended`: the attempt is over, it has an artifact. */
export type LiveOutcome =
  /** `at`: when its worker began to pack; `look` gets a new link. */
  | { status: "stored"; attempt: number; name: string; at: string; look: () => Promise<Stored> }
  | { status: "empty" | "ended" }
  | { status: "failed"; detail: string };

/** Workers hear of a request with their next heartbeat, 5 s at most. */
const firstLookMs = 300;
const longestPauseMs = 2_000;
/** The control plane says itself that a request's time is over; this is for one that does not. */
const graceMs = 30_000;

/** Asks the worker of a running task for what it has written so far, and waits for it. */
export async function requestLive(
  api: ApiClient,
  job: string,
  task: string,
  signal: AbortSignal,
): Promise<LiveOutcome> {
  const request = await api.requestLiveArtifact(job, task, { signal }).catch((error: unknown) => {
    // It has ended, or waits for its next attempt, since it was looked at.
    if (error instanceof ApiError && error.code === "conflict") return undefined;
    throw error;
  });
  if (request === undefined) return { status: "ended" };
  const untilMs = Date.parse(request.until) + graceMs;
  const look = () => api.getLiveArtifact(job, task, request.id, { signal });
  for (let pauseMs = firstLookMs; ; pauseMs = Math.min(pauseMs * 1.5, longestPauseMs)) {
    await delay(pauseMs, undefined, { signal });
    const live = await look();
    switch (live.status) {
      case "stored": {
        const { at, artifact } = live;
        return { status: "stored", attempt: request.attempt, name: artifact.name, at, look: () => lookAgain(look) };
      }
      case "empty":
      case "ended":
        return { status: live.status };
      case "failed":
      case "lost":
        return { status: "failed", detail: live.detail };
      case "pending":
        if (Date.now() > untilMs) return { status: "failed", detail: "its worker did not answer in time" };
    }
  }
}

/** What was stored once stays; a new look at it has a new link. */
async function lookAgain(look: () => Promise<LiveArtifact>): Promise<Stored> {
  const live = await look();
  if (live.status !== "stored") throw new Error(`what was stored is now ${live.status}`);
  return live;
}
