import { type ListCell, type ListColumn, renderList } from "./columns.ts";
import type { ListCursor } from "./list.ts";
import type { Frame } from "./view.ts";

/** One of several lists that share the screen. */
export interface Pane {
  readonly cursor: ListCursor;
  /** Its name and how much there is of it, in place of the first heading. */
  heading: string;
  columns: readonly ListColumn[];
  /** Keys of all of its rows; only rows that are seen are drawn. */
  keys: readonly string[];
  cells(key: string): readonly ListCell[];
  /** What is said where there is no row. */
  empty: string;
  /** Its share of the room where there is too little. */
  weight: number;
}

/** Lines of room that the rows of each list get: as many as it wants, or its share. */
export function shareRoom(room: number, wants: readonly number[], weights: readonly number[]): number[] {
  const given = wants.map(() => 0);
  for (let left = room; left > 0; left--) {
    let next = -1;
    for (const [index, want] of wants.entries()) {
      const has = given[index] ?? 0;
      if (has >= want) continue;
      const load = has / (weights[index] ?? 1);
      if (next < 0 || load < (given[next] ?? 0) / (weights[next] ?? 1)) next = index;
    }
    if (next < 0) break;
    given[next] = (given[next] ?? 0) + 1;
  }
  return given;
}

/** Panes one above the other with the chosen one marked; where there is little room the chosen one alone. */
export function renderPanes(panes: readonly Pane[], chosen: number, frame: Frame): string[] {
  const { height } = frame;
  const isRoomy = height >= 4 * panes.length;
  const shown = isRoomy ? panes : panes.filter((_, index) => index === chosen);
  const gaps = height >= 30 ? shown.length - 1 : 0;
  const wants = shown.map(({ keys }) => Math.max(1, keys.length));
  const rooms = shareRoom(
    height - shown.length - gaps,
    wants,
    shown.map(({ weight }) => weight),
  );
  return shown.flatMap((pane, index) => {
    const lines = renderPane(pane, rooms[index] ?? 1, pane === panes[chosen], frame);
    return gaps > 0 && index > 0 ? ["", ...lines] : lines;
  });
}

function renderPane(pane: Pane, room: number, isChosen: boolean, { width, style }: Frame): string[] {
  const { top, at } = pane.cursor.place(pane.keys, room);
  const keys = pane.keys.slice(top, top + room);
  const [first, ...rest] = pane.columns;
  const lines = renderList({
    columns: first ? [{ ...first, heading: pane.heading }, ...rest] : [],
    headingStyle: isChosen ? ["bold", "cyan"] : "dim",
    rows: keys.map((key) => pane.cells(key)),
    chosen: isChosen ? at - top : -1,
    width,
    style,
  });
  return keys.length === 0 ? [...lines, style("dim", `  ${pane.empty}`)] : lines;
}
