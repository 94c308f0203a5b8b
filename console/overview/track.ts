/** A value as it was seen: it holds from `atMs` until the next point; `undefined` = nobody looked. */
export interface TrackPoint {
  atMs: number;
  value: number | undefined;
}
export type Track = readonly TrackPoint[];

/** What is older is let go. */
export const trackMs = 10 * 60_000;
/** A track is drawn over so long at least: what came a moment ago is not drawn out over all of it. */
const shortestSpanMs = 60_000;

/** A track with what is seen now: only changes are kept, and of what is too old only the value it begins with. */
export function addPoint(track: Track, point: TrackPoint): Track {
  if (track.at(-1)?.value === point.value) return track;
  const fromMs = point.atMs - trackMs;
  const first = track.findLastIndex(({ atMs }) => atMs <= fromMs);
  return [...track.slice(Math.max(0, first)), point];
}

/** How far back tracks reach that are shown side by side: from one to ten minutes. */
export function spanTracks(tracks: Iterable<Track>, nowMs: number): number {
  const firstMs = Math.min(nowMs, ...[...tracks].flatMap((track) => track[0]?.atMs ?? []));
  return Math.min(trackMs, Math.max(shortestSpanMs, nowMs - firstMs));
}

/** The lowest and the highest value that were seen in the last `spanMs`; undefined where nothing was. */
export function measureTrack(
  track: Track,
  { nowMs, spanMs }: { nowMs: number; spanMs: number },
): { min: number; max: number } | undefined {
  const values = track.flatMap(({ value }, index) =>
    value !== undefined && (track[index + 1]?.atMs ?? nowMs) >= nowMs - spanMs ? [value] : [],
  );
  return values.length === 0 ? undefined : { min: Math.min(...values), max: Math.max(...values) };
}

/** Where a track is drawn: from `spanMs` ago at the left edge to now at the right one, from 0 at its foot to `max`. */
export interface TrackBox {
  nowMs: number;
  spanMs: number;
  width: number;
  height: number;
  max: number;
}

/** A track as a stepped line: nothing between two values is made up, and where nobody looked there is no line. */
export function drawTrack(track: Track, { nowMs, spanMs, width, height, max }: TrackBox): string {
  const x = (atMs: number) => round(width * Math.max(0, 1 - (nowMs - atMs) / spanMs));
  const y = (value: number) => round(height * (1 - value / Math.max(1, max)));
  let path = "";
  let isDown = false;
  for (const [index, { atMs, value }] of track.entries()) {
    const untilMs = Math.min(nowMs, track[index + 1]?.atMs ?? nowMs);
    if (value === undefined) isDown = false;
    else if (untilMs > nowMs - spanMs) {
      path += isDown ? `V${y(value)}H${x(untilMs)}` : `M${x(atMs)} ${y(value)}H${x(untilMs)}`;
      isDown = true;
    }
  }
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
