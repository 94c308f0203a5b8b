import type { Context } from "hono";
import * as z from "zod";
import { logPageSchema } from "../../../shared/api/schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { isLogEndLost } from "../../../shared/domain/lost-log.ts";
import { jobRules } from "../../../shared/jobfile/rules.ts";
import type { Logger } from "../../../shared/log.ts";
import type { TaskItem } from "../../../shared/repository/items.ts";
import type { Deps } from "../../deps.ts";
import type { LogChoice, OneLog } from "../../operations/log-chunks.ts";
import { formatLogCursor, type LogPosition, logStart, parseLogCursor } from "../../operations/log-position.ts";
import { createLogReader, type LogLines, type LogReader, lineText } from "../../operations/read-logs.ts";
import type { ApiEnv } from "../auth.ts";
import { findTask } from "../find.ts";
import { attemptEnded, followLog } from "../follow-log.ts";
import { checkFirstLine, type LineRange, parseLineRange, requireOneLog, resolveByteRange } from "../log-window.ts";
import { createRouter, jsonAnswer, securedRoute, taskParam } from "../route.ts";
import { wantsEventStream } from "../sse.ts";

const linesPerPage = 1000;

const logsRoute = securedRoute("viewer", {
  method: "get",
  path: "/v1/jobs/{job}/tasks/{task}/logs",
  summary: "Read or follow a task's logs",
  description:
    "JSON pages; with `Accept: text/plain` the whole text; with `Accept: text/event-stream` a stream of `line` events that goes on with the task's next attempt if there is one, resumes from `Last-Event-ID` and closes with an `end` event once the task has ended. A header `Range: bytes=A-B` answers these bytes of the text of one log.",
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
      tail: z.coerce
        .number()
        .int()
        .min(0)
        .max(limits.logPageLines)
        .optional()
        .meta({ description: "Only the last lines, this many." }),
      since: z.iso
        .datetime({ offset: true })
        .optional()
        .meta({ description: "Only lines of this time or later, as 2026-01-31T12:00:00Z." }),
      lines: z
        .string()
        .regex(/^\d{1,12}-\d{0,12}$/)
        .optional()
        .meta({ description: "Only these lines of one log, `A-B` or `A-`, counted from 0 as `line` is." }),
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
    206: { description: "The bytes asked for.", content: { "text/plain": { schema: z.string() } } },
  },
});

/** Routes on logs. */
export function logRoutes(deps: Deps) {
  return createRouter().openapi(logsRoute, async (c) => {
    const { job, task: name } = c.req.valid("param");
    const query = c.req.valid("query");
    const byteRange = wantsEventStream(c) ? undefined : c.req.header("range");
    checkExclusive(query, byteRange, wantsEventStream(c));
    const { digest, task } = await findTask(deps, job, name);
    if (query.attempt !== undefined && query.attempt > task.attempt) {
      throw new AppError("not_found", `task ${name} has no attempt ${query.attempt}; it has had ${task.attempt}`);
    }
    const attempt = query.attempt ?? Math.max(1, task.attempt);
    const { choice, oneLog } = await choose(deps, { jobId: job, name, attempt }, query, {
      lines: query.lines,
      byteRange,
    });
    checkTail(deps, query.tail);
    const reader = createLogReader(deps, { jobId: job, task: name, ...choice });
    if (oneLog && byteRange !== undefined) {
      return answerBytes(c, { deps, reader, oneLog, byteRange, headers: nameFile(name, choice) });
    }
    const resumeFrom = c.req.header("last-event-id") || query.cursor;
    const lines = query.lines === undefined ? undefined : parseLineRange(query.lines);
    const from = resumeFrom
      ? readCursor(resumeFrom, task)
      : await findStart(reader, { attempt, choice, since: query.since, lines, oneLog });
    const tail = resumeFrom ? undefined : query.tail;
    if (wantsEventStream(c)) {
      const pinned = query.attempt !== undefined;
      return followLog(c, deps, { digest, task, reader, from, tail, choice, pinned });
    }
    const window = {
      from,
      tail,
      count: lines ? lines.last - lines.first + 1 : unbounded,
      lastLine: lines?.last ?? unbounded,
    };
    if ((c.req.header("accept") ?? "").startsWith("text/plain")) {
      const headers = { "content-type": textType, ...nameFile(name, choice) };
      return c.body(ReadableStream.from(breakOffOnFault(deps.log, readText(reader, window))), 200, headers);
    }
    const page =
      tail === undefined
        ? await readWindow(reader, window, Math.min(query.limit, deps.limits.logPageLines))
        : { ...(await reader.readTail(attempt, tail)), exhausted: true, cut: false };
    const record = task.attempts[from.attempt - 1];
    return c.json(
      {
        attempt: from.attempt,
        lines: page.entries.map((entry) => entry.line),
        cursor: formatLogCursor(page.next),
        complete: page.cut || (page.exhausted && attemptEnded(task, from.attempt)),
        ...(record && isLogEndLost(record) ? { endLost: true } : {}),
      },
      200,
    );
  });
}

const unbounded = Number.POSITIVE_INFINITY;
const textType = "text/plain; charset=utf-8";

interface LogQuery extends LogChoice {
  cursor?: string | undefined;
  tail?: number | undefined;
  since?: string | undefined;
  lines?: string | undefined;
}

/** What would have to be guessed is refused. */
function checkExclusive(query: LogQuery, byteRange: string | undefined, follows: boolean): void {
  const { step, service, cursor, tail, since, lines } = query;
  const refuse = (what: string) => {
    throw new AppError("invalid_request", `${what} exclude each other; keep one of them`);
  };
  if (step !== undefined && service !== undefined) refuse("step and service");
  const places = Object.entries({ tail, since, lines, "a range of bytes": byteRange });
  const given = places.flatMap(([place, value]) => (value === undefined ? [] : place));
  if (given.length > 1) refuse(given.join(" and "));
  if (byteRange !== undefined && cursor !== undefined) refuse("cursor and a range of bytes");
  if (follows && lines !== undefined) {
    throw new AppError("invalid_request", "a stream has no lines beyond those that come; use tail or since instead");
  }
}

function checkTail({ limits: { logPageLines } }: Deps, tail: number | undefined): void {
  if (tail === undefined || tail <= logPageLines) return;
  throw new AppError("invalid_request", `tail is ${tail}; at most ${logPageLines} lines are read at once`);
}

/** Which logs are meant; where lines or bytes are counted it must be one. A step that is not there would look silent. */
async function choose(
  deps: Deps,
  { jobId, name, attempt }: { jobId: string; name: string; attempt: number },
  { step, service }: LogChoice,
  { lines, byteRange }: { lines: string | undefined; byteRange: string | undefined },
): Promise<{ choice: LogChoice; oneLog?: OneLog }> {
  const choice = { step, service };
  const isCounted = lines !== undefined || byteRange !== undefined;
  if (step === undefined && !isCounted) return { choice };
  const count = (await deps.jobs.getSpec(jobId))?.steps.length ?? 0;
  if (step !== undefined && step > count) {
    const there = count === 1 ? "one step" : `${count} steps`;
    throw new AppError("not_found", `task ${name} has no step ${step}; it has ${there}`);
  }
  if (!isCounted) return { choice };
  const oneLog = requireOneLog(attempt, count, choice);
  return { choice: service === undefined ? { step: oneLog.step } : choice, oneLog };
}

function readCursor(cursor: string, task: TaskItem): LogPosition {
  const position = parseLogCursor(cursor);
  if (position.attempt <= Math.max(1, task.attempt)) return position;
  throw new AppError(
    "invalid_cursor",
    `task ${task.task} has had ${task.attempt} attempts, the cursor is of a later one; start again without one`,
  );
}

interface Start {
  attempt: number;
  choice: LogChoice;
  since: string | undefined;
  lines: LineRange | undefined;
  oneLog: OneLog | undefined;
}

async function findStart(reader: LogReader, { attempt, choice, since, lines, oneLog }: Start): Promise<LogPosition> {
  if (since !== undefined) return reader.findTime(attempt, Date.parse(since));
  if (lines === undefined || oneLog === undefined) return logStart(attempt, choice);
  await checkFirstLine(reader, oneLog, lines);
  return reader.findLine(oneLog, lines.first);
}

/** What of the logs is wanted; `count` bounds the lines from `from` on, `lastLine` the last of them. */
interface LogWindow {
  from: LogPosition;
  tail: number | undefined;
  count: number;
  lastLine: number;
}

/** A page without what is behind the last line that is wanted; `cut` tells that it has come. */
async function readWindow(
  reader: LogReader,
  { from, count, lastLine }: LogWindow,
  limit: number,
): Promise<LogLines & { cut: boolean }> {
  const page = await reader.readPage(from, Math.min(limit, count));
  const entries = page.entries.filter(({ line }) => line.line <= lastLine);
  const cut = entries.length < page.entries.length || entries.at(-1)?.line.line === lastLine;
  return cut ? { entries, next: entries.at(-1)?.next ?? from, exhausted: false, cut } : { ...page, cut };
}

interface BytesAnswer {
  deps: Deps;
  reader: LogReader;
  oneLog: OneLog;
  byteRange: string;
  headers: Record<string, string>;
}

async function answerBytes(c: Context<ApiEnv>, { deps, reader, oneLog, byteRange, headers }: BytesAnswer) {
  const { start, end, total } = resolveByteRange(byteRange, (await reader.measure(oneLog)).bytes);
  const text = breakOffOnFault(deps.log, reader.readBytes(oneLog, start, end));
  return c.body(ReadableStream.from(text), 206, {
    "content-type": textType,
    "content-range": `bytes ${start}-${end - 1}/${total}`,
    "content-length": String(end - start),
    ...headers,
  });
}

/** What the log of one step or service is called where somebody saves it. */
function nameFile(task: string, { step, service }: LogChoice): Record<string, string> {
  if (step === undefined && service === undefined) return {};
  const part = service === undefined ? `step-${step}` : `service-${service}`;
  return { "content-disposition": `inline; filename="${task}-${part}.log"`, "accept-ranges": "bytes" };
}

/** The text, or its last lines. */
async function* readText(reader: LogReader, { from, tail, lastLine }: LogWindow): AsyncGenerator<Uint8Array> {
  if (tail === undefined) {
    yield* reader.readText(from, lastLine);
    return;
  }
  const { entries } = await reader.readTail(from.attempt, tail);
  yield Buffer.from(entries.map(({ line }) => lineText(line)).join(""));
}

/** A fault breaks the text off, so that half a log cannot be taken for a whole one. */
async function* breakOffOnFault(log: Logger, text: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* text;
  } catch (error) {
    log.error({ err: error }, "a log was cut while it was sent");
    throw error;
  }
}
