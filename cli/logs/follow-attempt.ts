import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { StreamPatience } from "../../shared/api-client/event-stream.ts";
import type { ApiClient, LogQuery, PageQuery, StreamStatus } from "../../shared/api-client/index.ts";
import { isPassingAbsence, outlast } from "./outlast.ts";

/** Which log to follow and whom to give its lines. */
export interface FollowAttemptOptions {
  job: string;
  task: string;
  attempt: number;
  step?: number | undefined;
  service?: string | undefined;
  /** Where it begins: behind a cursor, so many lines before its end, at a time, or at its first line. */
  cursor?: string | undefined;
  tail?: number | undefined;
  since?: string | undefined;
  signal: AbortSignal;
  /** Tells whether the attempt is over; asked now and then while no lines come. */
  isOver: () => boolean | Promise<boolean>;
  onLine: (line: ApiLogLine) => void;
  onStatus?: (status: StreamStatus) => void;
  /** How an absence of the control plane is borne; as by any stream if nothing is said. */
  patience?: Partial<StreamPatience> | undefined;
  /** How often `isOver` is asked, in milliseconds. */
  checkMs?: number;
}

/** A log whose end was never told: the stream is left for one last read. */
class LogIsOver extends Error {}

/**
 * Follows the log of one attempt until it is complete. Should the end never be told (a worker that died left a log
 * without one), it ends once the attempt is over and nothing more has come for a while, with one last look.
 */
export async function followAttempt(api: ApiClient, options: FollowAttemptOptions): Promise<void> {
  const { job, task, attempt, step, service, tail, since, signal, onLine, patience, checkMs = 5_000 } = options;
  const over = new AbortController();
  let { cursor } = options;
  const choice = { attempt, step, service };
  const startOf = () => (cursor === undefined ? { tail, since } : { cursor });
  let lines = 0;
  let linesAtCheck = -1;
  let overSeen = false;
  const check = async (): Promise<void> => {
    const isIdle = lines === linesAtCheck;
    linesAtCheck = lines;
    if (!isIdle) return;
    // Twice in a row: what a worker wrote last must have had the time to arrive.
    if (overSeen) return over.abort(new LogIsOver());
    overSeen = await options.isOver();
  };
  // How long an absence is borne is the stream's to decide.
  const giveUp = (error: unknown) => isPassingAbsence(error) || over.abort(error);
  const timer = setInterval(() => check().catch(giveUp), checkMs);
  try {
    const follow = { signal: AbortSignal.any([signal, over.signal]), onStatus: options.onStatus, patience };
    for await (const followed of api.followLog(job, task, { ...choice, ...startOf() }, follow)) {
      onLine(followed.line);
      cursor = followed.cursor ?? cursor;
      lines++;
    }
  } catch (error) {
    if (!(error instanceof LogIsOver)) throw error;
    for (let query: LogQuery & PageQuery = startOf(), isLast = false; !isLast; ) {
      const page = await outlast(
        () => api.readLog(job, task, { ...choice, ...query }, { signal }),
        signal,
        patience?.giveUpAfterMs,
      );
      page.lines.forEach(onLine);
      query = { cursor: page.cursor };
      isLast = page.complete || page.lines.length === 0;
    }
  } finally {
    clearInterval(timer);
  }
}
