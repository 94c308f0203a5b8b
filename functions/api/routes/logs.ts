import type { Context } from "hono";
import * as z from "zod";
import { logPageSchema } from "../../../shared/api/log-schemas.ts";
import { AppError } from "../../../shared/domain/errors.ts";
import { limits } from "../../../shared/domain/limits.ts";
import { isLogEndLost } from "../../../shared/domain/lost-log.ts";
import type { Logger } from "../../../shared/log.ts";
import type { Deps } from "../../deps.ts";
import type { LogChoice, OneLog } from "../../operations/log-chunks.ts";
import { formatLogCursor, type LogPosition } from "../../operations/log-position.ts";
import { type LogLines, type LogReader, lineText } from "../../operations/read-logs.ts";
import type { ApiEnv } from "../auth.ts";
import { attemptEnded, followLog } from "../follow-log.ts";
import { findLogStart, logQueryFields, openLog } from "../log-request.ts";
import { resolveByteRange } from "../log-window.ts";
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
      ...logQueryFields,
      tail: z.coerce
        .number()
        .int()
        .min(0)
        .max(limits.logPageLines)
        .optional()
        .meta({ description: "Only the last lines, this many." }),
      limit: z.coerce.number().int().min(1).max(limits.logPageLines).default(linesPerPage),
      format: z.literal("text").optional().meta({ description: "As `Accept: text/plain`, for links." }),
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
    const param = c.req.valid("param");
    const query = c.req.valid("query");
    const follows = wantsEventStream(c);
    const byteRange = follows ? undefined : c.req.header("range");
    const opened = await openLog(deps, param, query, { byteRange, follows });
    const { digest, task, attempt, choice, oneLog, lines, reader } = opened;
    checkTail(deps, query.tail);
    if (oneLog && byteRange !== undefined) {
      return answerBytes(c, { deps, reader, oneLog, byteRange, headers: nameFile(param.task, choice) });
    }
    const resumeFrom = c.req.header("last-event-id") || query.cursor;
    const from = await findLogStart(opened, { cursor: resumeFrom, since: query.since });
    const tail = resumeFrom ? undefined : query.tail;
    if (follows) {
      const pinned = query.attempt !== undefined;
      return followLog(c, deps, { digest, task, reader, from, tail, choice, pinned });
    }
    const window = {
      from,
      tail,
      count: lines ? lines.last - lines.first + 1 : unbounded,
      lastLine: lines?.last ?? unbounded,
    };
    if (query.format === "text" || (c.req.header("accept") ?? "").startsWith("text/plain")) {
      const headers = { "content-type": textType, ...nameFile(param.task, choice) };
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

function checkTail({ limits: { logPageLines } }: Deps, tail: number | undefined): void {
  if (tail === undefined || tail <= logPageLines) return;
  throw new AppError("invalid_request", `tail is ${tail}; at most ${logPageLines} lines are read at once`);
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
