import { toAscii } from "./dressed.ts";
import type { Output } from "./output.ts";

const secondScreen = "\u001b[?1049h";
/** No cursor, no new line where a line is full, pasted text marked as such. */
const modes = "\u001b[?25l\u001b[?7l\u001b[?2004h";
const giveBack = "\u001b[0m\u001b[?2004l\u001b[?7h\u001b[?25h\u001b[?1049l";
/** Terminals that know it show what is between them at once. */
const beginUpdate = "\u001b[?2026h";
const endUpdate = "\u001b[?2026l";
const clearToLineEnd = "\u001b[K";
const clearAll = "\u001b[2J";
const undress = "\u001b[0m";

/** A terminal's whole screen, drawn line by line. */
export interface Screen {
  /** Takes over the screen; the next drawing is whole. */
  enter(): void;
  /** Shows again what was there before. Calling it twice does nothing. */
  leave(): void;
  /** Shows these lines, of which each fits; only what has changed is written. */
  draw(lines: readonly string[]): void;
  /** The next drawing is whole: of a terminal that somebody else may have written to. */
  forget(): void;
}

/** Creates the screen of an output; without `unicode` it is drawn in ASCII. */
export function createScreen(out: Pick<Output, "write" | "rows">, unicode: boolean): Screen {
  let isOpen = false;
  let shown: string[] | undefined;
  return {
    enter: () => {
      // Asked for twice, some terminals would forget where the cursor was before the first time.
      out.write(`${isOpen ? "" : secondScreen}${modes}`);
      isOpen = true;
      shown = undefined;
    },
    leave: () => {
      if (isOpen) out.write(giveBack);
      isOpen = false;
    },
    draw: (wanted) => {
      if (!isOpen) return;
      const height = out.rows;
      const lines = Array.from({ length: height }, (_, index) => {
        const line = wanted[index] ?? "";
        return unicode ? line : toAscii(line);
      });
      const isWhole = shown === undefined || shown.length !== height;
      const before = isWhole ? [] : (shown ?? []);
      const changed = lines.map((line, index) =>
        // A screen that was cleared has its empty lines already. Behind a full line there is nothing to clear but its end.
        line === (before[index] ?? "") ? "" : `\u001b[${index + 1};1H${clearToLineEnd}${line}${undress}`,
      );
      shown = lines;
      const text = `${isWhole ? clearAll : ""}${changed.join("")}`;
      if (text !== "") out.write(`${beginUpdate}${text}${endUpdate}`);
    },
    forget: () => {
      shown = undefined;
    },
  };
}

/** Whether a terminal shows more than ASCII, as far as the locale tells; where nothing tells it does. */
export function decideUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== "");
  return locale === undefined || /utf-?8/i.test(locale);
}
