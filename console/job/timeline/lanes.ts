import type { Bar } from "./bars.ts";

/** What one worker did: in each row attempts one after the other, as many rows as it had attempts at once. */
export interface Lane {
  workerId: string;
  rows: Bar[][];
  attempts: number;
  /** Attempts that ended otherwise than completed. */
  incomplete: number;
  /** Sum of the times of its attempts. */
  busyMs: number;
  /** From its first attempt of the job until its last ended. */
  spanMs: number;
}

/** Puts each attempt into a row of its worker's lane in which nothing else was then; workers by their first attempt. */
export function packLanes(bars: Iterable<Bar>, nowMs: number): Lane[] {
  const lanes = new Map<string, Lane & { firstMs: number; lastMs: number }>();
  for (const bar of [...bars].sort((a, b) => a.startMs - b.startMs)) {
    let lane = lanes.get(bar.workerId);
    if (!lane) {
      const empty = { rows: [], attempts: 0, incomplete: 0, busyMs: 0, spanMs: 0 };
      lane = { workerId: bar.workerId, ...empty, firstMs: bar.startMs, lastMs: bar.startMs };
      lanes.set(bar.workerId, lane);
    }
    const endMs = bar.endMs ?? Math.max(nowMs, bar.startMs);
    const row = lane.rows.find((held) => (held.at(-1)?.endMs ?? Number.POSITIVE_INFINITY) <= bar.startMs);
    if (row) row.push(bar);
    else lane.rows.push([bar]);
    lane.attempts++;
    if (bar.endMs !== undefined && bar.mark !== "completed") lane.incomplete++;
    lane.busyMs += endMs - bar.startMs;
    lane.lastMs = Math.max(lane.lastMs, endMs);
  }
  return [...lanes.values()].map(({ firstMs, lastMs, ...lane }) => ({ ...lane, spanMs: lastMs - firstMs }));
}

/** How much of its rows a worker used while it worked for the job, from 0 to 1. */
export function busyShare({ busyMs, spanMs, rows }: Lane): number {
  return spanMs === 0 ? 1 : Math.min(1, busyMs / (spanMs * rows.length));
}

/** Place of a row on the page: heights in pixels, from the top of all lanes. */
export interface PlacedRow {
  lane: Lane;
  bars: readonly Bar[];
  top: number;
}

/** Heights of rows: the largest is taken with which all lanes stay in view. */
const rowHeights = [16, 12, 9, 6, 4] as const;
const laneGap = 8;
/** A lane has room for its name. */
const leastLaneHeight = 18;

/** Where each row and each lane stands, and how high it all is. */
export interface Placement {
  rowHeight: number;
  height: number;
  rows: PlacedRow[];
  lanes: { lane: Lane; top: number; height: number }[];
}

/** Lays lanes out below each other, so that they fit into a height if they can. */
export function placeLanes(lanes: readonly Lane[], longestPx: number): Placement {
  let placement: Placement = { rowHeight: rowHeights[0], height: 0, rows: [], lanes: [] };
  for (const rowHeight of rowHeights) {
    placement = { rowHeight, height: 0, rows: [], lanes: [] };
    for (const lane of lanes) {
      const top = placement.height;
      const height = Math.max(leastLaneHeight, lane.rows.length * rowHeight);
      placement.lanes.push({ lane, top, height });
      placement.rows.push(...lane.rows.map((bars, index) => ({ lane, bars, top: top + index * rowHeight })));
      placement.height = top + height + laneGap;
    }
    if (placement.height <= longestPx) break;
  }
  return placement;
}
