import type { Context } from "../context.ts";
import { formatDuration } from "../terminal/format.ts";
import { oneLine } from "../terminal/one-line.ts";
import { truncate } from "../terminal/text.ts";

/** Shows on stderr that something takes its time: one line that moves on a terminal, else its beginning and end. */
export interface Progress {
  /** What is happening right now, such as the last line of a build. */
  showLine(line: string): void;
  elapsedMs(): number;
  /** Takes the moving line away and leaves `text`, if any. */
  end(text?: string): void;
}

const frameMs = 100;
const clearLine = "\r\u001b[2K";

/** Starts to show progress under a title. */
export function createProgress(context: Context, title: string): Progress {
  const { err, quiet, verbose } = context;
  const startedAtMs = performance.now();
  const elapsedMs = (): number => performance.now() - startedAtMs;
  const draws = err.isTty && !quiet && !verbose;
  let line = "";
  const draw = (): void => {
    const words = `${title} ${formatDuration(elapsedMs())}  `;
    const rest = err.style("dim", truncate(line, err.columns - 1 - words.length));
    err.write(`${clearLine}${words}${rest}`);
  };
  const timer = draws ? setInterval(draw, frameMs) : undefined;
  timer?.unref();
  if (draws) draw();
  else context.note(`${title} …`);
  return {
    showLine: (text) => {
      line = oneLine(text);
      if (verbose) err.write(`  ${line}\n`);
    },
    elapsedMs,
    end: (text) => {
      clearInterval(timer);
      if (draws) err.write(clearLine);
      if (text !== undefined) context.note(text);
    },
  };
}
