import type { Output } from "../terminal/output.ts";
import { cleanForTerminal } from "./log-printer.ts";

/** A line on a terminal is shown in pieces of so many characters at most: it may be as long as the log. */
const maxPieceLength = 64 * 1024;

/**
 * Prints a piece of a log's text as it arrives: without a terminal as it is, on one without what acts on it. A character
 * that the window cuts in two is shown as U+FFFD.
 */
export async function printLogBytes(out: Output, answer: Response): Promise<void> {
  const decoder = new TextDecoder();
  const show = out.isTty ? createTerminalPrinter(out) : (text: string) => out.write(text);
  for await (const bytes of answer.body ?? []) {
    show(decoder.decode(bytes, { stream: true }));
    // The reader may have had enough (`| head`); leaving the loop ends the connection.
    if (out.closed) return;
  }
  show(decoder.decode());
  if (out.isTty) show("\n");
}

function createTerminalPrinter(out: Output): (text: string) => void {
  const useColors = out.style("red", "x") !== "x";
  let rest = "";
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    out.writeLines(lines.map((line) => cleanForTerminal(line, useColors, false)));
    if (rest.length <= maxPieceLength) return;
    out.write(cleanForTerminal(rest, useColors, false));
    rest = "";
  };
}
