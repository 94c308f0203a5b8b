import * as z from "zod";
import { AppError } from "../../shared/domain/errors.ts";
import { jobRules } from "../../shared/jobfile/rules.ts";
import type { JobDigest, TaskItem } from "../../shared/repository/items.ts";
import type { Deps } from "../deps.ts";
import type { LogChoice, OneLog } from "../operations/log-chunks.ts";
import { type LogPosition, logStart, parseLogCursor } from "../operations/log-position.ts";
import { createLogReader, type LogReader } from "../operations/read-logs.ts";
import { findTask } from "./find.ts";
import { checkFirstLine, type LineRange, parseLineRange, requireOneLog } from "./log-window.ts";

/** What every request for a log may say. */
export const logQueryFields = {
  attempt: z.coerce.number().int().min(1).optional(),
  step: z.coerce.number().int().min(1).max(1000).optional(),
  service: z
    .string()
    .max(jobRules.serviceName.maxLength)
    .regex(jobRules.serviceName.pattern)
    .optional()
    .meta({ description: "Reads the log of this service instead of those of the steps." }),
  cursor: z.string().max(100).optional(),
  since: z.iso
    .datetime({ offset: true })
    .optional()
    .meta({ description: "Only lines of this time or later, as 2026-01-31T12:00:00Z." }),
  lines: z
    .string()
    .regex(/^\d{1,12}-\d{0,12}$/)
    .optional()
    .meta({ description: "Only these lines of one log, `A-B` or `A-`, counted from 0 as `line` is." }),
};

interface LogQuery extends LogChoice {
  attempt?: number | undefined;
  cursor?: string | undefined;
  tail?: number | undefined;
  since?: string | undefined;
  lines?: string | undefined;
}

/** A log that was asked for. */
export interface OpenedLog {
  digest: JobDigest;
  task: TaskItem;
  attempt: number;
  choice: LogChoice;
  /** The log whose lines or bytes are counted, where they are. */
  oneLog: OneLog | undefined;
  lines: LineRange | undefined;
  reader: LogReader;
}

/** Finds the log that is asked for. Throws where the request contradicts itself, and where there is no such log. */
export async function openLog(
  deps: Deps,
  { job, task: name }: { job: string; task: string },
  query: LogQuery,
  { byteRange, follows }: { byteRange?: string | undefined; follows: boolean },
): Promise<OpenedLog> {
  checkExclusive(query, byteRange, follows);
  const { digest, task } = await findTask(deps, job, name);
  if (query.attempt !== undefined && query.attempt > task.attempt) {
    throw new AppError("not_found", `task ${name} has no attempt ${query.attempt}; it has had ${task.attempt}`);
  }
  const attempt = query.attempt ?? Math.max(1, task.attempt);
  const { choice, oneLog } = await choose(deps, { jobId: job, name, attempt }, query, {
    lines: query.lines,
    byteRange,
  });
  const lines = query.lines === undefined ? undefined : parseLineRange(query.lines);
  const reader = createLogReader(deps, { jobId: job, task: name, ...choice });
  return { digest, task, attempt, choice, oneLog, lines, reader };
}

/** Where reading begins: behind a cursor, or where the request says. */
export function findLogStart(
  { task, reader, attempt, choice, oneLog, lines }: OpenedLog,
  { cursor, since }: { cursor: string | undefined; since: string | undefined },
): Promise<LogPosition> {
  if (cursor) return Promise.resolve(readCursor(cursor, task));
  return findStart(reader, { attempt, choice, since, lines, oneLog });
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
