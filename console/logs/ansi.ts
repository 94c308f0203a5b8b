/** How a piece of a line looks. A colour is an index of the 256 of a terminal, or `trueColor` and 24 bits. */
export interface TextStyle {
  fg?: number;
  bg?: number;
  bold?: boolean;
  dim?: boolean;
  italic?: boolean;
  underline?: boolean;
  strike?: boolean;
  inverse?: boolean;
}

/** A piece of a line in one style; without one it looks like the rest of the page. */
export interface TextRun {
  text: string;
  style: TextStyle | undefined;
}

/** Marks a colour whose lowest 24 bits are red, green and blue. */
export const trueColor = 0x1000000;
/** A line that changes its style more often is drawn in its last one from there on. */
const maxRuns = 2_000;

// Sequences of ECMA-48: CSI, OSC (titles, links), other strings, two-character escapes; then controls one by one.
const special =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /\u001b\[([0-?]*)[ -/]*([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[PX^_][^\u001b]*(?:\u001b\\)?|\u001b[ -/]*[0-~]?|[\u0000-\u0008\u000b-\u001f\u007f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const hasSpecial = /[\u0000-\u0008\u000b-\u001f\u007f]/;
/** What moves within the line, so that later text stands in the place of earlier. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const hasMoves = /[\r\u0008]|\u001b\[[0-9;]*[CDGK]/;
/** Controls that a terminal takes without a trace. */
const silent = new Set([0x00, 0x05, 0x07, 0x0e, 0x0f, 0x1b, 0x7f]);

/** A line as a terminal would show it: what was written over is gone, and nothing but styles is left of escapes. */
export function readLine(raw: string): TextRun[] {
  if (!hasSpecial.test(raw)) return raw === "" ? [] : [{ text: raw, style: undefined }];
  const line = raw.replace(/\r+$/, "");
  const writer = hasMoves.test(line) ? new CellWriter() : new RunWriter();
  let style: TextStyle | undefined;
  let from = 0;
  for (const match of line.matchAll(special)) {
    const [sequence, numbers, final] = match;
    if (match.index > from) writer.write(line.slice(from, match.index), style);
    from = match.index + sequence.length;
    if (final === "m") style = changeStyle(style, numbers ?? "");
    else if (final !== undefined) writer.move(final, Number.parseInt(numbers ?? "", 10));
    else if (sequence === "\r") writer.move("G", 1);
    else if (sequence === "\b") writer.move("D", 1);
    else if (sequence.length === 1 && !silent.has(sequence.charCodeAt(0))) writer.write(picture(sequence), style);
  }
  if (from < line.length) writer.write(line.slice(from), style);
  return writer.end();
}

/** The text of a line as it is seen. */
export function plainText(raw: string): string {
  if (!hasSpecial.test(raw)) return raw;
  return readLine(raw)
    .map(({ text }) => text)
    .join("");
}

/** The text of many lines without escapes; undefined where something in them moves back, so that each has to be read. */
export function stripEscapes(lines: string): string | undefined {
  if (!hasSpecial.test(lines)) return lines;
  return hasMoves.test(lines) ? undefined : lines.replace(special, "");
}

/** Unicode has a picture for each control, `␁` … `␟`. */
function picture(control: string): string {
  return String.fromCodePoint(0x2400 + control.charCodeAt(0));
}

/** Takes text as it comes, which is nearly always. */
class RunWriter {
  readonly #runs: TextRun[] = [];

  write(text: string, style: TextStyle | undefined): void {
    const last = this.#runs.at(-1);
    if (last && (last.style === style || this.#runs.length >= maxRuns)) last.text += text;
    else this.#runs.push({ text, style });
  }

  move(): void {
    // A line that has anything which moves back is written into cells.
  }

  end(): TextRun[] {
    return this.#runs;
  }
}

/** Takes text to where the cursor is, character by character. */
class CellWriter {
  readonly #cells: TextRun[] = [];
  #at = 0;

  write(text: string, style: TextStyle | undefined): void {
    for (const character of text) {
      while (this.#cells.length < this.#at) this.#cells.push({ text: " ", style: undefined });
      this.#cells[this.#at++] = { text: character, style };
    }
  }

  move(final: string, number: number): void {
    const count = Number.isNaN(number) ? 0 : number;
    if (final === "G") this.#at = Math.max(1, count) - 1;
    else if (final === "C") this.#at += Math.max(1, count);
    else if (final === "D") this.#at -= Math.max(1, count);
    else if (final === "K") this.#erase(count);
    // No line is longer than what a worker sends as one; a number may be anything.
    this.#at = Math.max(0, Math.min(this.#at, 65_536));
  }

  #erase(which: number): void {
    if (which === 0) this.#cells.length = Math.min(this.#cells.length, this.#at);
    else if (which === 2) this.#cells.length = 0;
    else for (let at = 0; at < this.#at; at++) this.#cells[at] = { text: " ", style: undefined };
  }

  end(): TextRun[] {
    const writer = new RunWriter();
    for (const { text, style } of this.#cells) writer.write(text, style);
    return writer.end();
  }
}

/** "Select graphic rendition": what each number adds or takes away. */
const changes: Readonly<Record<number, TextStyle>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  21: { underline: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  29: { strike: false },
};

function changeStyle(before: TextStyle | undefined, text: string): TextStyle | undefined {
  // A private sequence that ends alike, such as of the keyboard.
  if (/[<=>?]/.test(text)) return before;
  let style: TextStyle = before ?? {};
  const parts = text.split(";");
  for (let at = 0; at < parts.length; at++) {
    const [code, ...more] = (parts[at] ?? "").split(":").map(Number);
    if (code === undefined || code === 0) style = {};
    else if (code === 38 || code === 48) {
      const { color, used } = more.length > 0 ? readColor(more) : readColor(parts.slice(at + 1).map(Number));
      if (more.length === 0) at += used;
      if (color !== undefined) style = { ...style, [code === 38 ? "fg" : "bg"]: color };
    } else if (code === 4 && more[0] === 0) style = { ...style, underline: false };
    else style = { ...style, ...changes[code], ...nameColor(code) };
    if (code === 39) delete style.fg;
    if (code === 49) delete style.bg;
  }
  return Object.values(style).some((value) => value !== false) ? style : undefined;
}

function nameColor(code: number): TextStyle {
  if (code >= 30 && code <= 37) return { fg: code - 30 };
  if (code >= 40 && code <= 47) return { bg: code - 40 };
  if (code >= 90 && code <= 97) return { fg: code - 90 + 8 };
  if (code >= 100 && code <= 107) return { bg: code - 100 + 8 };
  return {};
}

/** What follows 38 or 48: `5;N` of 256 colours, or `2;R;G;B`, with colons also `2::R:G:B`. */
function readColor(numbers: readonly number[]): { color: number | undefined; used: number } {
  const isByte = (value: number | undefined) => value !== undefined && value >= 0 && value <= 255;
  const [kind, index] = numbers;
  if (kind === 5) return { color: isByte(index) ? index : undefined, used: 2 };
  if (kind !== 2) return { color: undefined, used: 0 };
  const [red = 0, green = 0, blue = 0] = numbers.length === 5 ? numbers.slice(2) : numbers.slice(1, 4);
  const isWhole = isByte(red) && isByte(green) && isByte(blue);
  return { color: isWhole ? trueColor | (red << 16) | (green << 8) | blue : undefined, used: 4 };
}
