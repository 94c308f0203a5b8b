import { textWidth } from "./text.ts";

const escapeCharacter = "\u001b";
const reset = `${escapeCharacter}[0m`;
/** Codes that only dress text, kept apart from it. */
const dressing = new RegExp(`(${escapeCharacter}\\[[0-9;:]*m)`);
const tabColumns = 8;
const segmenter = new Intl.Segmenter();

/**
 * Columns `from` to `from + width` of a line that may hold codes for colours and tabs, and nothing else that moves the
 * cursor. A wide character that the cut goes through becomes a space; what was dressed is undressed at the end.
 */
export function cutDressed(line: string, from: number, width: number): string {
  let column = 0;
  let cut = "";
  let isDressed = false;
  for (const [index, piece] of line.split(dressing).entries()) {
    if (index % 2 === 1) {
      cut += piece;
      isDressed = true;
      continue;
    }
    for (const { text, columns } of eachSegment(piece)) {
      const taken = text === "\t" ? tabColumns - (column % tabColumns) : columns;
      const shown = Math.min(column + taken, from + width) - Math.max(column, from);
      if (shown > 0) cut += text !== "\t" && shown === taken ? text : " ".repeat(shown);
      column += taken;
      if (column >= from + width) return isDressed ? cut + reset : cut;
    }
  }
  return isDressed ? cut + reset : cut;
}

function* eachSegment(text: string): Generator<{ text: string; columns: number }> {
  if (/^[\x20-\x7e\t]*$/.test(text)) {
    for (const character of text) yield { text: character, columns: 1 };
    return;
  }
  for (const { segment } of segmenter.segment(text)) yield { text: segment, columns: textWidth(segment) };
}

/** Characters that are drawn instead on a terminal that has only ASCII; each takes one column, as what it stands for. */
const plainCharacters: Readonly<Record<string, string>> = {
  ...{ "…": "~", "█": "#", "▒": "=", "░": ".", "─": "-", "│": "|", "·": ".", "›": ">", "❯": ">" },
  ...{ "✓": "+", "✗": "x", "▸": ">", "↻": "@", "◷": "T", "■": "#", "»": "/", "↑": "^", "↓": "v" },
};

/** A drawn line in ASCII alone, as wide as it was. */
export function toAscii(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: codes for colours stay.
  if (/^[\x1b\x20-\x7e]*$/.test(line)) return line;
  let plain = "";
  for (const { segment } of segmenter.segment(line)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: codes for colours stay.
    const isPlain = /^[\x1b\x20-\x7e]$/.test(segment);
    plain += isPlain ? segment : (plainCharacters[segment] ?? "?".repeat(textWidth(segment)));
  }
  return plain;
}
