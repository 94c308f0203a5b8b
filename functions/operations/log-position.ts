import { AppError } from "../../shared/domain/errors.ts";
import type { LogChoice } from "./log-chunks.ts";

/** A place in the logs of an attempt: the next line to read. */
export interface LogPosition {
  attempt: number;
  /** 0 in the log of a service. */
  step: number;
  sequence: number;
  /** Lines of that chunk already read. */
  skip: number;
}

/** The first line of an attempt, or of its step or service that is asked for. */
export function logStart(attempt: number, { step, service }: LogChoice): LogPosition {
  return { attempt, step: service === undefined ? (step ?? 1) : 0, sequence: 0, skip: 0 };
}

export function formatLogCursor(position: LogPosition): string {
  return [position.attempt, position.step, position.sequence, position.skip].join(".");
}

export function parseLogCursor(cursor: string): LogPosition {
  const match = /^(\d{1,6})\.(\d{1,6})\.(\d{1,8})\.(\d{1,10})$/.exec(cursor);
  if (!match) throw new AppError("invalid_cursor", "this cursor was not made by a log; start again without one");
  const [attempt = 0, step = 0, sequence = 0, skip = 0] = match.slice(1).map(Number);
  return { attempt, step, sequence, skip };
}
