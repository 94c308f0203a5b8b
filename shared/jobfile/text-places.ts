import { type Place, replaceControls } from "./problem.ts";

const excerptLength = 120;
/** Characters kept before the column where a long line is cut. */
const excerptLead = 80;

/** Finds lines, columns and excerpts of offsets in one text. */
export interface TextPlaces {
  /** The place of a 0-based offset; offsets outside the text give its nearest end. */
  at(offset: number): Place;
  /** The offset of a line and column, both from 1. */
  offsetOf(line: number, column: number): number;
}

/** Indexes the lines of a text, so that each look-up is a binary search. */
export function indexPlaces(text: string): TextPlaces {
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lineStarts.push(at + 1);

  function at(offset: number): Place {
    const bounded = Math.min(Math.max(0, offset), text.length);
    const lineIndex = findLine(lineStarts, bounded);
    const start = lineStarts[lineIndex] ?? 0;
    const nextStart = lineStarts[lineIndex + 1];
    const line = text.slice(start, nextStart === undefined ? text.length : nextStart - 1).replace(/\r$/, "");
    return { line: lineIndex + 1, column: bounded - start + 1, excerpt: cutExcerpt(line, bounded - start) };
  }

  function offsetOf(line: number, column: number): number {
    return (lineStarts[line - 1] ?? text.length) + column - 1;
  }

  return { at, offsetOf };
}

function findLine(lineStarts: readonly number[], offset: number): number {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

function cutExcerpt(line: string, caret: number): Place["excerpt"] {
  if (line.length <= excerptLength) return { text: replaceControls(line), caret: Math.min(caret, line.length) };
  const start = Math.max(0, Math.min(caret, line.length) - excerptLead);
  const head = start > 0 ? "…" : "";
  const tail = start + excerptLength < line.length ? "…" : "";
  const text = head + replaceControls(line.slice(start, start + excerptLength)) + tail;
  return { text, caret: Math.min(caret, line.length) - start + head.length };
}
