import * as z from "zod";
import { artifactSchema } from "./manifest.ts";

/** A wish for what a running task has written so far. Its worker hears of it at its next heartbeat. */
export interface LiveRequest {
  /** Names the attempt, too: `<attempt>-<ulid>`. */
  id: string;
  attempt: number;
  /** What is not stored by then is not stored. */
  untilMs: number;
}

/** How long a worker may take to store what a task has written so far, from the request on. */
export const liveArtifactMs = 10 * 60_000;

/** How long a live artifact is kept: it is of the moment. */
export const liveArtifactKeepMs = 24 * 3_600_000;

/** Pattern of the id of a request for a live artifact. */
export const liveIdPattern = /^(\d{1,6})-[0-9a-hjkmnp-tv-z]{26}$/;

/** The attempt that a request's id names, or undefined where the text is none. */
export function attemptOfLiveId(id: string): number | undefined {
  const digits = liveIdPattern.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** What a worker leaves beside a live artifact when it is done: the answer to the request. */
export const liveReportSchema = z.discriminatedUnion("status", [
  /** `at`: when the worker began to pack, by its clock. */
  z.object({ status: z.literal("stored"), at: z.string(), artifact: artifactSchema }),
  /** The task has written nothing yet that its job file names. */
  z.object({ status: z.literal("empty"), at: z.string() }),
  z.object({ status: z.literal("failed"), at: z.string(), detail: z.string() }),
]);
export type LiveReport = z.infer<typeof liveReportSchema>;
