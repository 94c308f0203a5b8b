import { plainStyle, type Style, type StyleName } from "./style.ts";
import { pad, textWidth, truncate } from "./text.ts";

/** A cell of a table: its text (no codes, one line) and what it looks like. */
export interface Cell {
  text: string;
  style?: StyleName | readonly StyleName[] | undefined;
}

/** A column: its heading, and whether it may be cut where the terminal is narrow (down to `minWidth` columns). */
export interface Column {
  heading: string;
  align?: "left" | "right";
  shrinkTo?: number;
}

/** How a table is drawn. */
export interface TableOptions {
  width: number;
  style?: Style;
  /** Spaces before each line. */
  indent?: number;
  /** Without headings where they would say nothing. */
  headings?: boolean;
}

const gap = "  ";

/** Lines of a table whose columns are aligned and which is no wider than `width`, as far as its columns may shrink. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions,
): string[] {
  const style = options.style ?? plainStyle;
  const indent = " ".repeat(options.indent ?? 0);
  const headings: Cell[] = columns.map(({ heading }) => ({ text: heading, style: "dim" }));
  const lines = options.headings === false ? rows : [headings, ...rows];
  const widths = fitWidths(columns, lines, options.width - indent.length);
  return lines.map((row) => {
    const cells = columns.map((column, index) => {
      const cell = row[index] ?? { text: "" };
      const width = widths[index] ?? 0;
      const text = truncate(cell.text, width);
      const padding = pad(text, width, column.align).length - text.length;
      const dressed = cell.style === undefined ? text : style(cell.style, text);
      return column.align === "right" ? " ".repeat(padding) + dressed : dressed + " ".repeat(padding);
    });
    return (indent + cells.join(gap)).trimEnd();
  });
}

/** Natural widths, then the columns that may shrink give way, the last one first. */
function fitWidths(columns: readonly Column[], lines: readonly (readonly Cell[])[], available: number): number[] {
  const widths = columns.map((_, index) =>
    lines.reduce((widest, line) => Math.max(widest, textWidth(line[index]?.text ?? "")), 0),
  );
  let excess = widths.reduce((sum, width) => sum + width, 0) + gap.length * (columns.length - 1) - available;
  for (let index = columns.length - 1; index >= 0 && excess > 0; index--) {
    const { shrinkTo } = columns[index] ?? {};
    const width = widths[index] ?? 0;
    if (shrinkTo === undefined || width <= shrinkTo) continue;
    const given = Math.min(excess, width - shrinkTo);
    widths[index] = width - given;
    excess -= given;
  }
  return widths;
}
