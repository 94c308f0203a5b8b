import { plainStyle, type Style, type StyleName } from "./style.ts";
import { textWidth, truncate, wrap } from "./text.ts";

/** A cell of a table: its text (no codes, one line) and what it looks like. */
export interface Cell {
  text: string;
  style?: StyleName | readonly StyleName[] | undefined;
}

/** A column: its heading, and whether it may be cut (or `wrap`ped) where the terminal is narrow. */
export interface Column {
  heading: string;
  align?: "left" | "right";
  /** It may be made as narrow as this many columns. */
  shrinkTo?: number;
  /** What does not fit goes on in further lines instead of being cut. */
  wrap?: boolean;
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
  return lines.flatMap((row) => {
    const texts = columns.map((column, index) => fitText(column, row[index]?.text ?? "", widths[index] ?? 0));
    const height = Math.max(1, ...texts.map(({ length }) => length));
    return Array.from({ length: height }, (_, line) => {
      const cells = columns.map((column, index) => {
        const text = texts[index]?.[line] ?? "";
        return renderCell(column, { ...row[index], text }, widths[index] ?? 0, style);
      });
      return (indent + cells.join(gap)).trimEnd();
    });
  });
}

function fitText(column: Column, text: string, width: number): string[] {
  if (textWidth(text) <= width) return [text];
  return column.wrap === true ? wrap(text, width) : [truncate(text, width)];
}

function renderCell(column: Column, cell: Cell, width: number, style: Style): string {
  const padding = " ".repeat(Math.max(0, width - textWidth(cell.text)));
  const dressed = cell.style === undefined ? cell.text : style(cell.style, cell.text);
  return column.align === "right" ? padding + dressed : dressed + padding;
}

/** Natural widths; then the columns that may shrink give way, the last one first, and at worst below their bound. */
function fitWidths(columns: readonly Column[], lines: readonly (readonly Cell[])[], available: number): number[] {
  const widths = columns.map((_, index) =>
    lines.reduce((widest, line) => Math.max(widest, textWidth(line[index]?.text ?? "")), 0),
  );
  let excess = widths.reduce((sum, width) => sum + width, 0) + gap.length * (columns.length - 1) - available;
  const shrink = (boundOf: (column: Column) => number | undefined): void => {
    for (let index = columns.length - 1; index >= 0 && excess > 0; index--) {
      const column = columns[index];
      const bound = column && boundOf(column);
      const width = widths[index] ?? 0;
      if (bound === undefined || width <= bound) continue;
      const given = Math.min(excess, width - bound);
      widths[index] = width - given;
      excess -= given;
    }
  };
  shrink(({ shrinkTo }) => shrinkTo);
  shrink(({ shrinkTo }) => (shrinkTo === undefined ? undefined : 1));
  return widths;
}
