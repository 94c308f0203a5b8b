import { parseDuration } from "../../shared/jobfile/units.ts";
import { CliError, exitCodes } from "../errors.ts";

/** Options of `sluice logs` that say which part of a log is wanted, and how it is shown. */
export interface LogPlaceOptions {
  tail?: number;
  since?: string;
  lines?: string;
  bytes?: string;
  follow?: boolean;
  timestamps?: boolean;
}

/** A part of a log as the API is asked for it: at most one of them, none for all of it. */
export interface LogPlace {
  tail?: number;
  /** ISO 8601. */
  since?: string;
  /** Counted from 0. */
  lines?: string;
  /** As in a `Range` header. */
  bytes?: string;
}

/** Reads which part of a log is wanted; what excludes each other or cannot be read is wrong usage. */
export function parseLogPlace(options: LogPlaceOptions, { json, nowMs }: { json: boolean; nowMs: number }): LogPlace {
  const { tail, since, lines, bytes, follow, timestamps } = options;
  const places = Object.entries({ tail, since, lines, bytes });
  const given = places.flatMap(([name, value]) => (value === undefined ? [] : `--${name}`));
  if (given.length > 1) throw wrong(`${given.join(" and ")} exclude each other; keep one of them`);
  if (follow === true && (lines ?? bytes) !== undefined) {
    throw wrong(`${given[0]} names a part that is there already, -f waits for what comes; keep one of them`);
  }
  if (bytes !== undefined && (json || timestamps === true)) {
    throw wrong(`--bytes prints the text as it is: leave out ${json ? "--json" : "--timestamps"}, or use --lines`);
  }
  return {
    ...(tail === undefined ? {} : { tail }),
    ...(since === undefined ? {} : { since: parseSince(since, nowMs) }),
    ...(lines === undefined ? {} : { lines: parseLines(lines) }),
    ...(bytes === undefined ? {} : { bytes: parseBytes(bytes) }),
  };
}

function parseSince(text: string, nowMs: number): string {
  const agoMs = parseDuration(text);
  const atMs = agoMs === undefined ? Date.parse(text) : nowMs - agoMs;
  const date = new Date(atMs);
  // `Date.parse` takes much that nobody means, such as "1".
  if (Number.isNaN(date.getTime()) || (agoMs === undefined && !/^\d{4}-\d\d-\d\d/.test(text))) {
    throw wrong(`--since "${text}" is no time; give a duration such as 10m, or a time such as 2026-01-31T12:00:00Z`);
  }
  return date.toISOString();
}

/** People and editors count lines from 1, the API from 0. */
function parseLines(text: string): string {
  const match = /^(\d{1,12})(-(\d{1,12})?)?$/.exec(text);
  const first = Number(match?.[1]);
  const last = match?.[2] === undefined ? first : match[3] === undefined ? Number.POSITIVE_INFINITY : Number(match[3]);
  if (!match || first < 1 || last < first) {
    throw wrong(`--lines "${text}" is no range of lines; give the first and the last, counted from 1, such as 100-199`);
  }
  return `${first - 1}-${last === Number.POSITIVE_INFINITY ? "" : last - 1}`;
}

function parseBytes(text: string): string {
  const match = /^(?:(\d{1,15})-(\d{1,15})?|-\d{1,15})$/.exec(text);
  if (match && Number(match[2] ?? Number.POSITIVE_INFINITY) >= Number(match[1] ?? 0)) return text;
  throw wrong(`--bytes "${text}" is no range of bytes; give the first and the last, counted from 0, such as 0-65535`);
}

function wrong(message: string): CliError {
  return new CliError(exitCodes.usage, message);
}
