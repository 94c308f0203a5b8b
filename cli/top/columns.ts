import type { Style, StyleName } from "../terminal/style.ts";
import { pad, textWidth, truncate } from "../terminal/text.ts";

/**
 * A column of a list on the screen. Unlike a table's, its width follows from the room alone: what comes and goes in the
 * rows must not move the others.
 */
export interface ListColumn {
  heading: string;
  width: number;
  /** It may grow to this width, before others that are named later. */
  most?: number;
  align?: "right";
  /** Where there is too little room, the column with the highest number goes first; without one it stays. */
  drop?: number;
  /** What does not fit is left out of its middle: ids differ at their ends. */
  cutsMiddle?: boolean;
}

/** A cell: its text and what it looks like, or what fills so many columns by itself. */
export type ListCell = { text: string; style?: StyleName | readonly StyleName[] } | { draw: (width: number) => string };

/** A list that is drawn. */
export interface ListDrawing {
  columns: readonly ListColumn[];
  headingStyle: StyleName | readonly StyleName[];
  rows: readonly (readonly ListCell[])[];
  /** Index of the chosen row in `rows`; -1 where none is to be shown as such. */
  chosen: number;
  width: number;
  style: Style;
}

const gap = "  ";
const marker = "❯ ";

/** The lines of a list: its headings, then its rows, the chosen one marked; all of them at most `width` wide. */
export function renderList({ columns, headingStyle, rows, chosen, width, style }: ListDrawing): string[] {
  const widths = fitColumns(columns, width - marker.length);
  const headings = columns.map(({ heading }) => ({ text: heading, style: headingStyle }));
  const line = (cells: readonly ListCell[], isChosen: boolean): string => {
    const drawn = columns.flatMap((column, index) => {
      const columnWidth = widths[index];
      const cell = cells[index];
      if (columnWidth === undefined || cell === undefined) return [];
      return [drawCell(column, isChosen && index === 0 ? invert(cell) : cell, columnWidth, style)];
    });
    const text = `${isChosen ? style("cyan", marker) : " ".repeat(marker.length)}${drawn.join(gap)}`;
    return text.trimEnd();
  };
  return [line(headings, false), ...rows.map((cells, index) => line(cells, index === chosen))];
}

function invert(cell: ListCell): ListCell {
  return "draw" in cell ? cell : { text: cell.text, style: "inverse" };
}

function drawCell(column: ListColumn, cell: ListCell, width: number, style: Style): string {
  if ("draw" in cell) return cell.draw(width);
  const cut = column.cutsMiddle === true ? truncateMiddle(cell.text, width) : truncate(cell.text, width);
  const padding = pad("", width - textWidth(cut));
  const dressed = cell.style === undefined ? cut : style(cell.style, cut);
  return column.align === "right" ? padding + dressed : dressed + padding;
}

/** The width of each column; undefined for those for which there is no room. */
export function fitColumns(columns: readonly ListColumn[], width: number): (number | undefined)[] {
  const widths: (number | undefined)[] = columns.map((column) => column.width);
  const used = () => {
    const kept = widths.filter((one) => one !== undefined);
    return kept.reduce((sum, one) => sum + one, 0) + gap.length * Math.max(0, kept.length - 1);
  };
  const dropped = columns
    .flatMap(({ drop }, index) => (drop === undefined ? [] : [{ drop, index }]))
    .sort((a, b) => b.drop - a.drop);
  for (const { index } of dropped) {
    if (used() <= width) break;
    widths[index] = undefined;
  }
  // What stays gives way or takes what is left, the first ones first.
  for (const [index, column] of columns.entries()) {
    const own = widths[index];
    if (own === undefined) continue;
    const room = width - used();
    const most = Math.max(own, column.most ?? own);
    widths[index] = Math.max(1, room < 0 ? own + room : Math.min(most, own + room));
  }
  return widths;
}

/** Of an id, what is left of its end: enough to tell it from others. */
const longestTail = 8;

/** Cuts a text to `width` columns with `…` before its last few. */
export function truncateMiddle(text: string, width: number): string {
  if (textWidth(text) <= width || width < 5) return truncate(text, width);
  const characters = [...text];
  const tail = Math.min(longestTail, Math.floor((width - 1) / 2));
  let end = "";
  for (let index = characters.length - 1; index >= 0; index--) {
    const longer = `${characters[index]}${end}`;
    if (textWidth(longer) > tail) break;
    end = longer;
  }
  return `${truncate(text, width - textWidth(end))}${end}`;
}
