import type { Context } from "hono";
import * as z from "zod";
import { logPageSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { taskBucket } from "../../../shared/domain/ids.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { isTerminalTaskState } from "../../../shared/domain/task-state.ts";
import { jobRules } from "../../../shared/jobfile/rules.ts";
import type { Logger } from "../../../shared/log.ts";
import type { JobDigest, TaskItem } from "../../../shared/repository/items.ts";
import type { Deps } from "../../deps.ts";
import {
  createLogReader,
  formatLogCursor,
  type LogChoice,
  type LogEntry,
  type LogPosition,
  type LogReader,
  logStart,
  parseLogCursor,
} from "../../operations/read-logs.ts";
import type { ApiEnv } from "../auth.ts";
import { findTask } from "../find.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";
import { type SsePoll, streamPolls, wantsEventStream } from "../sse.ts";

const linesPerPage = 1000;
const linesPerText = 20_000;
const watchMs = 60_000;

const logsRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/logs",
  summary: "Read or follow a task's logs",
  description:
    "JSON pages; with `Accept: text/plain` the whole text; with `Accept: text/event-stream` a stream of `line` events that goes on with the task's next attempt if there is one, resumes from `Last-Event-ID` and closes with an `end` event once the task has ended.",
  request: {
    params: taskParam,
    query: z.object({
      attempt: z.coerce.number().int().min(1).optional(),
      step: z.coerce.number().int().min(1).max(1000).optional(),
      service: z
        .string()
        .max(jobRules.serviceName.maxLength)
        .regex(jobRules.serviceName.pattern)
        .optional()
        .meta({ description: "Reads the log of this service instead of those of the steps." }),
      cursor: z.string().max(100).optional(),
      tail: z.coerce.number().int().min(0).max(limits.logPageLines).optional(),
      limit: z.coerce.number().int().min(1).max(limits.logPageLines).default(linesPerPage),
    }),
  },
  responses: {
    200: {
      ...jsonAnswer(logPageSchema, "Lines in order."),
      content: {
        "application/json": { schema: logPageSchema },
        "text/plain": { schema: z.string() },
        "text/event-stream": { schema: z.string() },
      },
    },
  },
});

/** Routes on logs. */
export function logRoutes(deps: Deps) {
  return createRouter().openapi(logsRoute, async (c) => {
    const { job, task: name } = c.req.valid("param");
    const query = c.req.valid("query");
    const choice = readChoice(query);
    const { digest, task } = await findTask(deps, job, name);
    if (query.attempt !== undefined && query.attempt > task.attempt) {
      throw new AppError("not_found", `task ${name} has no attempt ${query.attempt}; it has had ${task.attempt}`);
    }
    const attempt = query.attempt ?? Math.max(1, task.attempt);
    if (choice.step !== undefined) await checkStep(deps, job, name, choice.step);
    const { logPageLines } = deps.limits;
    if (query.tail !== undefined && query.tail > logPageLines) {
      throw new AppError("invalid_request", `tail is ${query.tail}; at most ${logPageLines} lines are read at once`);
    }
    const reader = createLogReader(deps, { jobId: job, task: name, ...choice });
    const resumeFrom = c.req.header("last-event-id") || query.cursor;
    const from = resumeFrom ? parseLogCursor(resumeFrom) : logStart(attempt, choice);
    if (from.attempt > Math.max(1, task.attempt)) {
      throw new AppError(
        "invalid_cursor",
        `task ${name} has had ${task.attempt} attempts, the cursor is of a later one; start again without one`,
      );
    }
    const tail = resumeFrom ? undefined : query.tail;
    if (wantsEventStream(c)) {
      return followLogs(c, deps, {
        digest,
        task,
        reader,
        from,
        tail,
        choice,
        pinned: query.attempt !== undefined,
      });
    }
    if ((c.req.header("accept") ?? "").startsWith("text/plain")) {
      const headers = { "content-type": "text/plain; charset=utf-8", ...nameFile(name, choice) };
      return c.body(ReadableStream.from(readText(deps.log, reader, from, tail)), 200, headers);
    }
    const page =
      tail === undefined
        ? await reader.readPage(from, Math.min(query.limit, logPageLines))
        : await reader.readTail(attempt, tail);
    const exhausted = "exhausted" in page ? page.exhausted : true;
    return c.json(
      {
        attempt: from.attempt,
        lines: page.entries.map((entry) => entry.line),
        cursor: formatLogCursor(page.next),
        complete: exhausted && attemptEnded(task, from.attempt),
      },
      200,
    );
  });
}

function readChoice({ step, service }: LogChoice): LogChoice {
  if (step !== undefined && service !== undefined) {
    throw new AppError("invalid_request", "step and service exclude each other; keep one of them");
  }
  return { step, service };
}

/** A step that the job does not have would look like one that prints nothing. */
async function checkStep(deps: Deps, jobId: string, taskName: string, step: number): Promise<void> {
  const spec = await deps.jobs.getSpec(jobId);
  const count = spec?.steps.length ?? 0;
  if (step <= count) return;
  throw new AppError(
    "not_found",
    `task ${taskName} has no step ${step}; it has ${count === 1 ? "one step" : `${count} steps`}`,
  );
}

/** Whether an attempt will write no more. The task was read before the log, so a "yes" holds for what was read. */
function attemptEnded(task: TaskItem, attempt: number): boolean {
  return attempt < task.attempt || task.attempts[attempt - 1]?.endedAt !== undefined || isTerminalTaskState(task.state);
}

interface Follow {
  digest: JobDigest;
  task: TaskItem;
  reader: LogReader;
  from: LogPosition;
  tail: number | undefined;
  choice: LogChoice;
  /** The attempt was named: do not go on with the next one. */
  pinned: boolean;
}

function followLogs(c: Context<ApiEnv>, deps: Deps, follow: Follow): Response {
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

/** Each line's message carries the position after it, so that a client that was cut resumes with the next line. */
function toMessages(entries: readonly LogEntry[]) {
  return entries.map(({ line, next }) => ({
    id: formatLogCursor(next),
    event: "line",
    data: JSON.stringify(line),
  }));
}

/** What the log of one step or service is called where somebody saves it. */
function nameFile(task: string, { step, service }: LogChoice): Record<string, string> {
  if (step === undefined && service === undefined) return {};
  const part = service === undefined ? `step-${step}` : `service-${service}`;
  return { "content-disposition": `inline; filename="${task}-${part}.log"` };
}

/** The text page by page. A fault breaks the stream off, so that half a log cannot be taken for a whole one. */
async function* readText(
  log: Logger,
  reader: LogReader,
  from: LogPosition,
  tail: number | undefined,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  const encode = (entries: readonly LogEntry[]) =>
    encoder.encode(entries.map(({ line }) => `${line.text}${line.partial ? "" : "\n"}`).join(""));
  try {
    if (tail !== undefined) {
      yield encode((await reader.readTail(from.attempt, tail)).entries);
      return;
    }
    let position = from;
    for (let exhausted = false; !exhausted; ) {
      const page = await reader.readPage(position, linesPerText);
      if (page.entries.length > 0) yield encode(page.entries);
      ({ next: position, exhausted } = page);
    }
  } catch (error) {
    log.error({ err: error }, "a log was cut while it was sent");
    throw error;
  }
}
