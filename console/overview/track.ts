/** A value as it was seen: it holds from `atMs` until the next point; `undefined` = nobody looked. */
export interface TrackPoint {
  atMs: number;
  value: number | undefined;
}
export type Track = readonly TrackPoint[];

/** What is older is let go. */
export const trackMs = 10 * 60_000;

/** A track with what is seen now: only changes are kept, and of what is too old only the value it begins with. */
export function addPoint(track: Track, point: TrackPoint): Track {
  if (track.at(-1)?.value === point.value) return track;
  const fromMs = point.atMs - trackMs;
  const first = track.findLastIndex(({ atMs }) => atMs <= fromMs);
  return [...track.slice(Math.max(0, first)), point];
}

/** What a track says between two moments: how high it went, and whether anything was seen. */
export interface TrackRange {
  min: number;
  max: number;
  /** When it begins; later than what was asked for where nobody looked before. */
  fromMs: number;
}

/** The range of what was seen in the last ten minutes; undefined where nothing was. */
export function measureTrack(track: Track, nowMs: number): TrackRange | undefined {
  const fromMs = nowMs - trackMs;
  const seen = track.filter(({ value }, index) => value !== undefined && (track[index + 1]?.atMs ?? nowMs) >= fromMs);
  const first = seen[0];
  if (!first) return undefined;
  const values = seen.map(({ value = 0 }) => value);
  return { min: Math.min(...values), max: Math.max(...values), fromMs: Math.max(fromMs, first.atMs) };
}

/**
 * The last ten minutes of a track as a stepped line in a box of so many units, the newest at its right edge and 0 at its
 * foot; where nobody looked there is no line. Lines are whole steps: nothing between two values is made up.
 */
export function drawTrack(track: Track, box: { nowMs: number; width: number; height: number; max: number }): string {
  const { nowMs, width, height, max } = box;
  const x = (atMs: number) => round(width * Math.max(0, 1 - (nowMs - atMs) / trackMs));
  const y = (value: number) => round(height * (1 - value / Math.max(1, max)));
  let path = "";
  let isDown = false;
  for (const [index, { atMs, value }] of track.entries()) {
    const untilMs = Math.min(nowMs, track[index + 1]?.atMs ?? nowMs);
    if (value === undefined) isDown = false;
    else if (untilMs > nowMs - trackMs) {
      path += isDown ? `V${y(value)}H${x(untilMs)}` : `M${x(atMs)} ${y(value)}H${x(untilMs)}`;
      isDown = true;
    }
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
