import { memo, type ReactNode } from "react";
import { readLine, type TextStyle } from "./ansi.ts";
import { findColors } from "./ansi-colors.ts";
import type { TextFinder } from "./find-text.ts";

/** Of one line, so many places are marked. */
const maxMarks = 500;

/** The text of a line with the colours that its program chose; everything else in it is text. */
export const LogText = memo(function LogText({ text, finder }: { text: string; finder: TextFinder | undefined }) {
  const runs = readLine(text);
  const marks = finder?.places(runs.map((run) => run.text).join(""), maxMarks) ?? [];
  let start = 0;
  return runs.map((run) => {
    const from = start;
    start += run.text.length;
    return (
      <Run key={from} style={run.style}>
        {marks.length === 0 ? run.text : markPlaces(run.text, from, marks)}
      </Run>
    );
  });
});

const classes = ["bold", "italic", "underline", "strike"] as const;

function Run({ style, children }: { style: TextStyle | undefined; children: ReactNode }) {
  if (!style) return children;
  const names = classes.filter((name) => style[name]).map((name) => `ansi-${name}`);
  return (
    <span className={names.join(" ") || undefined} style={findColors(style)}>
      {children}
    </span>
  );
}

/** A piece that begins at `offset` of its line, with what of the marked places is in it. */
function markPlaces(text: string, offset: number, places: readonly [number, number][]): ReactNode[] {
  const parts: ReactNode[] = [];
  let from = 0;
  for (const [start, end] of places) {
    const first = Math.max(from, start - offset);
    const last = Math.min(text.length, end - offset);
    if (last <= first) continue;
    parts.push(text.slice(from, first), <mark key={first}>{text.slice(first, last)}</mark>);
    from = last;
  }
  parts.push(text.slice(from));
  return parts;
}
