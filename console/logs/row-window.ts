/** The height of a row of text; a wrapped one is a multiple of it. */
export const rowHeightPx = 20;
/** Browsers draw nothing beyond some tens of millions of pixels; longer lists move more than a row a step. */
const maxScrollPx = 12_000_000;
const overscanRows = 6;

/** How far a list of rows can be scrolled, and how far it is. */
export interface RowGeometry {
  rows: number;
  /** Height of the view. */
  heightPx: number;
  /** Rows may be higher than `rowHeightPx`: any of them has to reach the top, or the last would not be seen. */
  wraps: boolean;
}

/** What of a list of rows is in view: the first row, which part of it is scrolled out (0 … 1), how many to draw. */
export interface RowWindow {
  first: number;
  part: number;
  count: number;
}

/** The row that stands at the top when the bar is at its end. */
function lastTop({ rows, heightPx, wraps }: RowGeometry): number {
  // Unwrapped there is a row's room below, which the bar for sideways may take.
  return Math.max(0, wraps ? rows - 1 : rows + 1 - heightPx / rowHeightPx);
}

/** Height of what is scrolled. */
export function scrollHeight(geometry: RowGeometry): number {
  return Math.min(maxScrollPx, geometry.heightPx + Math.floor(lastTop(geometry) * rowHeightPx));
}

/** What is in view where the bar is at `topPx`. Each step of the bar is a part of a row, however high that is. */
export function windowAt(topPx: number, geometry: RowGeometry): RowWindow {
  const { rows, heightPx } = geometry;
  const rangePx = scrollHeight(geometry) - heightPx;
  const at = rangePx <= 0 ? 0 : Math.min(1, topPx / rangePx) * lastTop(geometry);
  const first = Math.max(0, Math.min(rows - 1, Math.floor(at)));
  return { first, part: at - first, count: Math.max(0, Math.min(rows - first, countInView(heightPx))) };
}

/** Where the bar has to be so that a row stands at the top, or a third down where rows are of one height. */
export function topOf(row: number, geometry: RowGeometry, place: "top" | "third"): number {
  const above = place === "top" ? 0 : geometry.wraps ? 1 : geometry.heightPx / rowHeightPx / 3;
  const last = lastTop(geometry);
  const share = last === 0 ? 0 : Math.max(0, Math.min(1, (row - above) / last));
  return share * (scrollHeight(geometry) - geometry.heightPx);
}

/** Rows that fill a view of this height, and a few more. */
export function countInView(heightPx: number): number {
  return Math.ceil(heightPx / rowHeightPx) + overscanRows;
}

/** Whether the bar moves by anything but the rows that it passes: then a wheel or a key would pass over text. */
export function isScaled(geometry: RowGeometry): boolean {
  return geometry.wraps || lastTop(geometry) * rowHeightPx > maxScrollPx;
}

/** Where the bar has to be so that the rows move by so many pixels; `heights` are those of the rows from the first on. */
export function moveTop(topPx: number, byPx: number, geometry: RowGeometry, heights: readonly number[]): number {
  const last = lastTop(geometry);
  if (last === 0) return 0;
  const rangePx = scrollHeight(geometry) - geometry.heightPx;
  const { part } = windowAt(topPx, geometry);
  const moved = topPx + (passRows(byPx, part, geometry.wraps ? heights : []) / last) * rangePx;
  return Math.max(0, Math.min(rangePx, moved));
}

/** How many rows lie within so many pixels of the place in the first row where its `part` is scrolled out. */
function passRows(byPx: number, part: number, heights: readonly number[]): number {
  const [firstPx = rowHeightPx] = heights;
  let restPx = part * firstPx + byPx;
  if (restPx < 0) {
    // Those above have not been measured: they are taken to be like those below.
    const typicalPx = heights.reduce((sum, height) => sum + height, 0) / heights.length || rowHeightPx;
    return restPx / typicalPx - part;
  }
  let row = 0;
  for (const heightPx of heights) {
    if (restPx < heightPx) return row + restPx / heightPx - part;
    restPx -= heightPx;
    row++;
  }
  return row + restPx / rowHeightPx - part;
}
