/** One line of a step's log. `partial` marks a piece that was not ended by a newline (a cut line, or the last one). */
export interface LogLine {
  /** Milliseconds since the epoch, the worker's clock. */
  atMs: number;
  stream: "stdout" | "stderr";
  text: string;
  partial: boolean;
}

/**
 * A line as it is stored in a chunk: `<ms> <o|e> <text>\n`, with a capital letter for a partial line. The text cannot
 * hold a newline, so chunks are cut and joined at newlines without looking inside.
 */
export function formatLogLine(line: LogLine): string {
  const letter = line.stream === "stdout" ? (line.partial ? "O" : "o") : line.partial ? "E" : "e";
  return `${line.atMs} ${letter} ${line.text}\n`;
}

/** Reads one stored line (without its newline). */
export function parseLogLine(stored: string): LogLine {
  const letterAt = stored.indexOf(" ") + 1;
  const letter = stored[letterAt] ?? "o";
  return {
    atMs: Number(stored.slice(0, letterAt - 1)),
    stream: letter === "o" || letter === "O" ? "stdout" : "stderr",
    text: stored.slice(letterAt + 2),
    partial: letter === "O" || letter === "E",
  };
}
