/** One line of a step's log. `partial` marks a piece that was not ended by a newline (a cut line, or the last one). */
export interface LogLine {
  /** Milliseconds since the epoch, the worker's clock. */
  atMs: number;
  stream: "stdout" | "stderr";
  text: string;
  partial: boolean;
}

/**
 * Lines one after the other that were read together: they have everything but their text in common. A partial line is
 * a run of its own, for nothing in the text tells where it ends.
 */
export interface LogRun extends Omit<LogLine, "text"> {
  lines: number;
  /** Of the text, with the newlines. */
  bytes: number;
}

/** What a chunk of a log holds: the text as it was printed (valid UTF-8), and the runs that it is made of, in order. */
export interface LogContent {
  text: Buffer;
  runs: readonly LogRun[];
  /** It is one line that stands for all that the chunk held, whichever of them are asked for: nobody can read them. */
  isNotice?: true;
}

const newline = 0x0a;

/**
 * Runs as text, one a line: `<ms> <o|e><lines> <bytes>`, the time counted from that of the run before, with a capital
 * letter for a partial line.
 */
export function formatLogRuns(runs: readonly LogRun[]): string {
  let beforeMs = 0;
  let text = "";
  for (const { atMs, stream, partial, lines, bytes } of runs) {
    const letter = stream === "stdout" ? (partial ? "O" : "o") : partial ? "E" : "e";
    text += `${atMs - beforeMs} ${letter}${lines} ${bytes}\n`;
    beforeMs = atMs;
  }
  return text;
}

/** Reads what `formatLogRuns` wrote. Throws where it is something else. */
export function parseLogRuns(text: string): LogRun[] {
  const rows = text.split("\n");
  rows.pop();
  let beforeMs = 0;
  return rows.map((row) => {
    const match = /^(-?\d+) ([oOeE])(\d+) (\d+)$/.exec(row);
    if (!match) throw new Error(`"${row.slice(0, 100)}" is no run of log lines`);
    const [, sinceMs, letter = "o", lines, bytes] = match;
    beforeMs += Number(sinceMs);
    return {
      atMs: beforeMs,
      stream: letter.toLowerCase() === "o" ? "stdout" : "stderr",
      partial: letter === "O" || letter === "E",
      lines: Number(lines),
      bytes: Number(bytes),
    };
  });
}

/** The lines of a chunk from line `first` (0-based) on. */
export function* eachLogLine({ text, runs, isNotice }: LogContent, first = 0): Generator<LogLine> {
  let skip = isNotice ? 0 : first;
  let at = 0;
  for (const { atMs, stream, partial, lines, bytes } of runs) {
    const end = at + bytes;
    if (skip >= lines) {
      skip -= lines;
      at = end;
      continue;
    }
    for (let line = 0; line < lines; line++) {
      const lineEnd = partial ? end : text.indexOf(newline, at);
      if (line >= skip) yield { atMs, stream, partial, text: text.toString("utf8", at, lineEnd) };
      at = partial ? lineEnd : lineEnd + 1;
    }
    skip = 0;
  }
}

/** Where in a chunk's text line `line` (0-based) begins; the text's end where it has fewer. */
export function findLogLine({ text, runs }: LogContent, line: number): number {
  let left = line;
  let at = 0;
  for (const { lines, bytes } of runs) {
    if (left < lines) {
      for (; left > 0; left--) at = text.indexOf(newline, at) + 1;
      return at;
    }
    left -= lines;
    at += bytes;
  }
  return at;
}

/** The lines `[first, end)` of a chunk; it shares its memory. */
export function sliceLog(content: LogContent, first: number, end: number): LogContent {
  if (content.isNotice) return content;
  const [textStart, textEnd] = [findLogLine(content, first), findLogLine(content, end)];
  const runs: LogRun[] = [];
  let line = 0;
  let at = 0;
  for (const run of content.runs) {
    const lines = Math.min(end, line + run.lines) - Math.max(first, line);
    if (lines > 0) {
      const bytes = Math.min(textEnd, at + run.bytes) - Math.max(textStart, at);
      runs.push({ ...run, lines, bytes });
    }
    line += run.lines;
    at += run.bytes;
  }
  return { text: content.text.subarray(textStart, Math.max(textStart, textEnd)), runs };
}
