/** A moment in milliseconds since the epoch, and a value. */
export type Point = [atMs: number, value: number];

/** Fewer points than this cannot hold the ends of a series and both its extremes. */
const fewestPoints = 4;

/**
 * Takes at most `limit` of a series' points (4 at least) so that a chart of them looks like one of all: Largest Triangle
 * Three Buckets (Steinarsson, "Downsampling Time Series for Visual Representation", 2013). The first and the last point
 * stay and, unlike there, always the lowest and the highest one. Points are in the order of time.
 */
export function downsample(points: readonly Point[], limit: number): Point[] {
  const wanted = Math.max(fewestPoints, limit);
  if (points.length <= wanted) return [...points];
  // The ends stay anyway.
  const extremes = new Set(findExtremes(points).filter((place) => place > 0 && place < points.length - 1));
  const places = new Set([...pickTriangles(points, wanted - extremes.size), ...extremes]);
  return points.filter((_, place) => places.has(place));
}

/** What is kept of some points in a row; of a single one it is both. */
interface Extremes {
  low: Point;
  high: Point;
}

/**
 * Keeps a series that may become very long in bounded room: of every `n` points in a row the lowest and the highest,
 * where `n` is 1 until the room is full and then doubles, and both ends. No spike is lost, and no part of the series is
 * coarser than another.
 */
export class SpikeKeeper {
  readonly #room: number;
  #buckets: Extremes[] = [];
  #pointsPerBucket = 1;
  #pointsInLast = 0;
  #first: Point | undefined;
  #last: Point | undefined;

  /** `room`: points that are kept as they are, at most; of more, so many lowest and highest ones. */
  constructor(room: number) {
    this.#room = room;
  }

  add(point: Point): void {
    this.#first ??= point;
    this.#last = point;
    const own = { low: point, high: point };
    const bucket = this.#buckets.at(-1);
    if (bucket && this.#pointsInLast < this.#pointsPerBucket) {
      this.#buckets[this.#buckets.length - 1] = joinExtremes(bucket, own);
      this.#pointsInLast += 1;
      return;
    }
    this.#buckets.push(own);
    this.#pointsInLast = 1;
    if (this.#buckets.length > this.#room) this.#halve();
  }

  #halve(): void {
    const before = this.#buckets;
    this.#buckets = [];
    for (let place = 0; place < before.length; place += 2) {
      const [one, other] = before.slice(place, place + 2);
      if (one) this.#buckets.push(other ? joinExtremes(one, other) : one);
    }
    if (before.length % 2 === 0) this.#pointsInLast += this.#pointsPerBucket;
    this.#pointsPerBucket *= 2;
  }

  /** What is kept, in the order it came. */
  get points(): Point[] {
    const kept = new Set<Point>();
    if (this.#first) kept.add(this.#first);
    for (const { low, high } of this.#buckets) {
      kept.add(low[0] <= high[0] ? low : high);
      kept.add(low[0] <= high[0] ? high : low);
    }
    if (this.#last) {
      kept.delete(this.#last);
      kept.add(this.#last);
    }
    return [...kept];
  }
}

function joinExtremes(one: Extremes, other: Extremes): Extremes {
  return {
    low: other.low[1] < one.low[1] ? other.low : one.low,
    high: other.high[1] > one.high[1] ? other.high : one.high,
  };
}

function findExtremes(points: readonly Point[]): number[] {
  let lowest = 0;
  let highest = 0;
  for (const [place, [, value]] of points.entries()) {
    if (value < valueAt(points, lowest)) lowest = place;
    if (value > valueAt(points, highest)) highest = place;
  }
  return [lowest, highest];
}

/** The places of both ends and of one point a bucket: the one that spans the largest triangle with its neighbours. */
function pickTriangles(points: readonly Point[], count: number): number[] {
  const last = points.length - 1;
  const buckets = Math.max(0, count - 2);
  const picked = [0];
  const startOf = (bucket: number) => 1 + Math.floor((bucket * (last - 1)) / buckets);
  let before: Point = points[0] ?? [0, 0];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const end = startOf(bucket + 1);
    const after = averageOf(points.slice(end, bucket + 1 < buckets ? startOf(bucket + 2) : last + 1));
    let largest = -1;
    let place = startOf(bucket);
    for (let at = place; at < end; at++) {
      const area = areaOf(before, points[at] ?? before, after);
      if (area <= largest) continue;
      largest = area;
      place = at;
    }
    picked.push(place);
    before = points[place] ?? before;
  }
  picked.push(last);
  return picked;
}

function averageOf(points: readonly Point[]): Point {
  const sum = points.reduce<Point>(([x, y], [at, value]) => [x + at, y + value], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** Twice the area of a triangle: only which is largest counts. */
function areaOf([ax, ay]: Point, [bx, by]: Point, [cx, cy]: Point): number {
  return Math.abs((ax - cx) * (by - ay) - (ax - bx) * (cy - ay));
}

function valueAt(points: readonly Point[], place: number): number {
  return points[place]?.[1] ?? 0;
}
