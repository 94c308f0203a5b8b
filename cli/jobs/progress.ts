import { formatDuration } from "../../shared/domain/format.ts";
import type { Context } from "../context.ts";
import { oneLine } from "../terminal/one-line.ts";
import { truncate } from "../terminal/text.ts";

/** Shows on stderr that something takes its time. */
export interface Progress {
  /** What is happening right now, such as the last line of a build. */
  showLine(line: string): void;
  elapsedMs(): number;
  /** Takes the moving line away and leaves `text`, if any. */
  end(text?: string): void;
}

/** Shows several things that take their time at once: a line that moves for each on a terminal, else plain lines. */
export interface ProgressBoard {
  /** Begins to show something. `saysMuch`: with `-v` all its lines are of interest, not just the last one. */
  start(title: string, options: { saysMuch: boolean }): Progress;
}

const frameMs = 100;
/** Without a terminal something that takes long says this often how far it is. */
const wordMs = 30_000;
const eraseBelow = "\u001b[J";

interface Row {
  title: string;
  line: string;
  toldAtMs: number;
  elapsedMs: () => number;
}

/** Creates the board of one command. Nothing else may write to stderr while something on it is under way. */
export function createProgressBoard(context: Context): ProgressBoard {
  const { err, quiet, verbose } = context;
  const draws = err.isTty && !quiet && !verbose;
  const rows = new Set<Row>();
  let drawnLines = 0;
  let timer: NodeJS.Timeout | undefined;

  /** In one piece, so that no terminal shows a half. */
  function redraw(above = ""): void {
    const shown = [...rows].slice(0, Math.max(1, err.rows - 2)).map(renderRow);
    const back = drawnLines > 0 ? `\u001b[${drawnLines}A` : "";
    err.write(`\r${back}${eraseBelow}${above}${shown.map((text) => `${text}\n`).join("")}`);
    drawnLines = shown.length;
  }
  function renderRow({ title, line, elapsedMs }: Row): string {
    const words = truncate(`${title} ${formatDuration(elapsedMs())}  `, err.columns - 1);
    return `${words}${err.style("dim", truncate(line, Math.max(0, err.columns - 1 - words.length)))}`;
  }
  function tellLong(): void {
    const nowMs = performance.now();
    for (const row of rows) {
      if (row.line === "" || nowMs - row.toldAtMs < wordMs) continue;
      row.toldAtMs = nowMs;
      context.note(`${row.title} ${formatDuration(row.elapsedMs())}: ${row.line}`);
    }
  }
  function keepTime(): void {
    if (rows.size === 0) {
      clearInterval(timer);
      timer = undefined;
    } else if (timer === undefined && !quiet && !verbose) {
      timer = setInterval(draws ? () => redraw() : tellLong, draws ? frameMs : 1_000);
      timer.unref();
    }
  }

  return {
    start: (title, { saysMuch }) => {
      const startedAtMs = performance.now();
      const elapsedMs = (): number => performance.now() - startedAtMs;
      const row: Row = { title, line: "", toldAtMs: startedAtMs, elapsedMs };
      rows.add(row);
      if (draws) redraw();
      else context.note(`${title} …`);
      keepTime();
      return {
        showLine: (text) => {
          row.line = oneLine(text);
          // Who says it, where several things are under way.
          if (verbose && saysMuch) err.write(`  ${rows.size > 1 ? `${title}: ` : ""}${row.line}\n`);
        },
        elapsedMs,
        end: (text) => {
          if (!rows.delete(row)) return;
          keepTime();
          if (draws) redraw(text === undefined ? "" : `${text}\n`);
          else if (text !== undefined) context.note(text);
        },
      };
    },
  };
}
