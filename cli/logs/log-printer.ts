import { stripVTControlCharacters } from "node:util";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { eachLogLine } from "../../shared/domain/log-line.ts";
import type { Output } from "../terminal/output.ts";
import type { ReadLogChunk } from "./read-log-chunks.ts";

/** So many lines are written at once. */
const linesPerWrite = 5_000;

/** How lines of logs are written. */
export interface LogPrinterOptions {
  out: Output;
  timestamps: boolean;
  /** Stands before every line, dressed; for logs of several tasks. */
  prefix?: (() => string) | undefined;
}

/** Writes the lines of one task's log. */
export interface LogPrinter {
  print(lines: readonly ApiLogLine[]): void;
  /** Prints lines of one chunk; without a terminal and times the text goes as it is, not line by line. */
  printChunk(chunk: ReadLogChunk): void;
  /** Ends a line that was left open. */
  end(): void;
}

/**
 * Creates a printer. Without a terminal the text is written as the task wrote it. On a terminal only its colours are
 * kept: a task's output must not move the cursor, rename the window or write into the clipboard.
 */
export function createLogPrinter({ out, timestamps, prefix }: LogPrinterOptions): LogPrinter {
  let open: { step: number | undefined; stream: string } | undefined;

  function format(line: ApiLogLine): string {
    const text = out.isTty
      ? cleanForTerminal(line.text, out.style("red", "x") !== "x", prefix !== undefined)
      : line.text;
    // A piece of a line that was cut for its length goes on where the last piece stopped.
    const continues = open !== undefined && open.step === line.step && open.stream === line.stream;
    const lineEnd = open && !continues ? "\n" : "";
    const start = continues ? "" : `${prefix?.() ?? ""}${timestamps ? `${out.style("dim", line.at)} ` : ""}`;
    open = line.partial === true ? { step: line.step, stream: line.stream } : undefined;
    return `${lineEnd}${start}${text}${open ? "" : "\n"}`;
  }

  /** Only where a piece of a line is not gone on with is anything put into the text. */
  function formatText({ step, content: { text, runs } }: ReadLogChunk): string {
    const pieces: string[] = [];
    let pieceStart = 0;
    let at = 0;
    for (const { stream, partial, bytes } of runs) {
      if (open && (open.step !== step || open.stream !== stream)) {
        pieces.push(text.toString("utf8", pieceStart, at), "\n");
        pieceStart = at;
      }
      open = partial ? { step, stream } : undefined;
      at += bytes;
    }
    pieces.push(text.toString("utf8", pieceStart));
    return pieces.join("");
  }

  const isPlain = !out.isTty && !timestamps && prefix === undefined;
  return {
    print: (lines) => out.write(lines.map(format).join("")),
    printChunk: (chunk) => {
      if (isPlain) out.write(formatText(chunk));
      else for (const lines of eachApiLines(chunk)) out.write(lines.map(format).join(""));
    },
    end: () => {
      if (open) out.write("\n");
      open = undefined;
    },
  };
}

/** The lines of a chunk as the API tells them, some thousands at a time. */
export function* eachApiLines({ step, service, firstLine, content }: ReadLogChunk): Generator<ApiLogLine[]> {
  let line = firstLine;
  let lines: ApiLogLine[] = [];
  for (const { atMs, stream, text, partial } of eachLogLine(content)) {
    const at = new Date(atMs).toISOString();
    const owner = service === undefined ? { step } : { service };
    lines.push({ line: line++, ...owner, at, stream, text, ...(partial && { partial }) });
    if (lines.length < linesPerWrite) continue;
    yield lines;
    lines = [];
  }
  yield lines;
}

const escapeCharacter = "\u001b";
/** Codes that only dress text: `ESC [ … m`. */
const dressing = new RegExp(`${escapeCharacter}\\[[0-9;:]*m`, "g");
/** What must not reach the terminal: all controls but tabs and line ends. */
const harmful = /[\p{Cc}--[\t\n]]/gv;

/** Of a line that overwrites itself by `\r` what it says in the end. */
export function lastState(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "\r") end--;
  return text.slice(end > 0 ? text.lastIndexOf("\r", end - 1) + 1 : 0, end);
}

/**
 * A line as a terminal may show it: colours kept where the terminal shows colours (and ended, where `isolate` says
 * that other texts follow), of a line that overwrites itself by `\r` only its last state, all other controls gone.
 */
export function cleanForTerminal(text: string, keepColors: boolean, isolate: boolean): string {
  const visible = lastState(text);
  if (visible.search(harmful) < 0) return visible;
  const colors: string[] = keepColors ? (visible.match(dressing) ?? []) : [];
  const pieces = visible.split(dressing).map((piece) => stripVTControlCharacters(piece).replace(harmful, ""));
  const cleaned = pieces.map((piece, index) => piece + (colors[index] ?? "")).join("");
  return isolate && colors.length > 0 ? `${cleaned}${escapeCharacter}[0m` : cleaned;
}
