import { createParser } from "eventsource-parser";
import type { JobEvent } from "../../events/index.ts";
import { isTerminalTaskState } from "../../shared/domain/task-state.ts";
import type { RunningStack } from "./local-stack.ts";

/** What a watcher was sent of a job from its first event to its end. */
export interface WatchedJob {
  events: JobEvent[];
  /** Bytes of the stream, keep-alives and the end included. */
  bytes: number;
}

/** Follows a job's events as a watcher does, until the stream says that the job has ended; one that is cut is resumed. */
export async function watchJob(stack: Pick<RunningStack, "url" | "token">, jobId: string): Promise<WatchedJob> {
  const watched: WatchedJob = { events: [], bytes: 0 };
  while (!(await watchOnce(stack, jobId, watched))) {
    if (watched.events.length === 0) throw new Error(`the stream of ${jobId} brought nothing`);
  }
  return watched;
}

/** True where the stream ended because the job has. */
async function watchOnce({ url, token }: Pick<RunningStack, "url" | "token">, jobId: string, watched: WatchedJob) {
  const response = await fetch(`${url}/v1/jobs/${jobId}/events`, {
    headers: {
      authorization: `Bearer ${token}`,
      accept: "text/event-stream",
      "last-event-id": String(watched.events.at(-1)?.seq ?? ""),
    },
  });
  if (!response.ok || !response.body) throw new Error(`the events of ${jobId}: ${response.status}`);
  let ended = false;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      if (event === "end") ended = true;
      else watched.events.push(JSON.parse(data) as JobEvent);
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    watched.bytes += chunk.byteLength;
    parser.feed(decoder.decode(chunk, { stream: true }));
  }
  return ended;
}

/** What is wrong with a finished job's events: gaps, tasks that ended twice or never, an end that is not the last. */
export function findEventFaults(events: readonly JobEvent[], total: number): string[] {
  const faults: string[] = [];
  const ends = new Map<string, number>();
  for (const [index, event] of events.entries()) {
    if (event.seq !== index + 1) faults.push(`event ${index + 1} has the number ${event.seq}`);
    if (event.type !== "task.transition" || !isTerminalTaskState(event.to)) continue;
    ends.set(event.task, (ends.get(event.task) ?? 0) + 1);
  }
  for (const [task, count] of ends) if (count > 1) faults.push(`${task} ended ${count} times`);
  if (ends.size !== total) faults.push(`${ends.size} of ${total} tasks ended`);
  if (events.at(-1)?.type !== "job.ended") faults.push(`the last event is ${events.at(-1)?.type}`);
  return faults;
}
