import type { Context } from "hono";
import { taskBucket } from "../../shared/domain/ids.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import type { LogChoice } from "../operations/log-chunks.ts";
import { formatLogCursor, type LogPosition, logStart } from "../operations/log-position.ts";
import type { LogEntry, LogReader } from "../operations/read-logs.ts";
import type { ApiEnv } from "./auth.ts";
import { type SsePoll, streamPolls } from "./sse.ts";

const linesPerPage = 1000;
const watchMs = 60_000;

/** What is followed, and from where. */
export interface Follow {
  digest: JobDigest;
  task: TaskItem;
  reader: LogReader;
  from: LogPosition;
  tail: number | undefined;
  choice: LogChoice;
  /** The attempt was named: do not go on with the next one. */
  pinned: boolean;
}

/** Answers with the stream of a log's lines as they come, and tells the worker that somebody watches. */
export function followLog(c: Context<ApiEnv>, deps: Deps, follow: Follow): Response {
  const { digest, reader, pinned } = follow;
  const { jobId, task: name } = follow.task;
  const bucket = taskBucket(name, digest.bucketCount);
  let position = follow.from;
  let pendingTail = follow.tail;
  let noteWatchedAfterMs = 0;
  return streamPolls(c, deps, async (): Promise<SsePoll> => {
    const task = (await deps.tasks.get(jobId, bucket, name)) ?? follow.task;
    if (task.state === "running" && deps.now() > noteWatchedAfterMs) {
      noteWatchedAfterMs = deps.now() + watchMs / 2;
      await deps.tasks.noteWatched(task, deps.now() + watchMs);
    }
    if (pendingTail !== undefined) {
      const { entries, next } = await reader.readTail(position.attempt, pendingTail);
      pendingTail = undefined;
      position = next;
      return { messages: toMessages(entries), ended: false };
    }
    const page = await reader.readPage(position, Math.min(linesPerPage, deps.limits.logPageLines));
    position = page.next;
    if (page.entries.length > 0) return { messages: toMessages(page.entries), ended: false };
    if (!page.exhausted || !attemptEnded(task, position.attempt)) return { messages: [], ended: false };
    if (!pinned && position.attempt < task.attempt) {
      position = logStart(position.attempt + 1, follow.choice);
      return { messages: [], ended: false };
    }
    return { messages: [], ended: pinned || isTerminalTaskState(task.state) };
  });
}

/** Whether an attempt will write no more. The task was read before the log, so a "yes" holds for what was read. */
export function attemptEnded(task: TaskItem, attempt: number): boolean {
  return attempt < task.attempt || task.attempts[attempt - 1]?.endedAt !== undefined || isTerminalTaskState(task.state);
}

/** Each line's message carries the position after it, so that a client that was cut resumes with the next line. */
function toMessages(entries: readonly LogEntry[]) {
  return entries.map(({ line, next }) => ({
    id: formatLogCursor(next),
    event: "line",
    data: JSON.stringify(line),
  }));
}
