import { AppError } from "../../shared/domain/errors.ts";
import type { LogChoice, OneLog } from "../operations/log-chunks.ts";
import type { LogReader } from "../operations/read-logs.ts";

/** What of a log is asked for by its first and last line, both counted from 0; without a last one all that follow. */
export interface LineRange {
  first: number;
  last: number;
}

/** Reads `A-B` or `A-`, which the route's schema has let through. */
export function parseLineRange(text: string): LineRange {
  const [first = "", last = ""] = text.split("-");
  const range = { first: Number(first), last: last === "" ? Number.POSITIVE_INFINITY : Number(last) };
  if (range.last < range.first) {
    throw new AppError("invalid_request", `lines is ${text}: it ends before it begins; give the first line first`);
  }
  return range;
}

/** Throws where a log has no such line; its end is a place too, for lines that may follow. */
export async function checkFirstLine(reader: LogReader, log: OneLog, { first }: LineRange): Promise<void> {
  if (first === 0) return;
  const { lines } = await reader.measure(log);
  if (first <= lines) return;
  throw new AppError("range_not_satisfiable", `the log has ${lines} lines: it ends before the first that is asked for`);
}

/** Bytes of a log's text that a request asks for: `[start, end)` of `total`. */
export interface ByteRange {
  start: number;
  end: number;
  total: number;
}

/** Reads the one range of a `Range` header: `bytes=A-B`, `bytes=A-` or `bytes=-N` (RFC 9110). */
export function resolveByteRange(header: string, total: number): ByteRange {
  const match = /^bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))$/.exec(header.trim());
  if (!match) {
    throw new AppError(
      "invalid_request",
      `the range "${header.slice(0, 100)}" cannot be read; give one, as bytes=0-65535`,
    );
  }
  const [, first, last, suffix] = match;
  const start = suffix === undefined ? Number(first) : Math.max(0, total - Number(suffix));
  const end = suffix !== undefined || last === "" ? total : Math.min(total, Number(last) + 1);
  if (start < end) return { start, end, total };
  throw new AppError("range_not_satisfiable", `the range ${header} holds nothing: the log has ${total} bytes`, {
    details: { contentRange: `bytes */${total}` },
  });
}

/** The one log whose lines and bytes are counted: the one that was named, or that of a job's only step. */
export function requireOneLog(attempt: number, steps: number, { step, service }: LogChoice): OneLog {
  if (service !== undefined) return { attempt, step: 0 };
  if (step !== undefined || steps === 1) return { attempt, step: step ?? 1 };
  throw new AppError(
    "invalid_request",
    `the job has ${steps} steps, each with a log of its own: name one by step, or a service by service`,
  );
}
