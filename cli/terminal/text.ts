import stringWidth from "string-width";

/** Columns a text takes on a terminal, without its codes for colours. */
export function textWidth(text: string): number {
  // Nearly every text is plain ASCII; measuring emoji takes a hundred times longer.
  return /^[\x20-\x7e]*$/.test(text) ? text.length : stringWidth(text);
}

const segmenter = new Intl.Segmenter();

/** Cuts a text (without codes for colours) to at most `width` columns, with `…` where something is missing. */
export function truncate(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  if (width <= 1) return width <= 0 ? "" : "…";
  let used = 0;
  let kept = "";
  for (const { segment } of segmenter.segment(text)) {
    const next = used + textWidth(segment);
    if (next > width - 1) break;
    used = next;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** Fills a text with spaces up to `width` columns, behind it or (`"right"`) before it. */
export function pad(text: string, width: number, align: "left" | "right" = "left"): string {
  const missing = width - textWidth(text);
  if (missing <= 0) return text;
  return align === "left" ? text + " ".repeat(missing) : " ".repeat(missing) + text;
}

/** Breaks a sentence (without codes) into lines of at most `width` columns, at its spaces where they allow it. */
export function wrap(text: string, width: number): string[] {
  if (textWidth(text) <= width) return [text];
  const limit = Math.max(1, width);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((part) => chop(part, limit))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (textWidth(longer) <= limit || line === "") line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

/** A word in pieces of at most `width` columns. */
function chop(word: string, width: number): string[] {
  if (textWidth(word) <= width) return [word];
  const pieces: string[] = [];
  let piece = "";
  for (const { segment } of segmenter.segment(word)) {
    if (piece !== "" && textWidth(piece + segment) > width) {
      pieces.push(piece);
      piece = "";
    }
    piece += segment;
  }
  return [...pieces, piece];
}
