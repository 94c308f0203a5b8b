import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { downsample, type Point, SpikeKeeper } from "./downsample.ts";

const series = (length: number, value: (place: number) => number): Point[] =>
  Array.from({ length }, (_, place) => [1_000 * place, value(place)]);

describe("downsample", () => {
  it("keeps a series as it is that is short enough", () => {
    const points = series(10, (place) => place);
    expect(downsample(points, 10)).toEqual(points);
    expect(downsample([], 10)).toEqual([]);
  });

  it("uses the room of extremes that are its ends", () => {
    const rising = series(5, (place) => place);
    expect(downsample(rising, 4)).toHaveLength(4);
  });

  it("keeps a spike of one sample in a day of them, and a dip", () => {
    const points = series(17_280, (place) => (place === 12_345 ? 400 : place === 12_346 ? 1 : 20 + (place % 3)));
    const kept = downsample(points, 200);
    expect(kept).toContainEqual([12_345_000, 400]);
    expect(kept).toContainEqual([12_346_000, 1]);
  });

  it("keeps each of several spikes that lie apart", () => {
    const spikes = [500, 3_000, 7_000, 9_500];
    const kept = downsample(
      series(10_000, (place) => (spikes.includes(place) ? 100 : 1)),
      100,
    );
    expect(kept.filter(([, value]) => value === 100).map(([at]) => at / 1_000)).toEqual(spikes);
  });

  it("answers points of the series in order, both ends and both extremes among them, and no more than wanted", () => {
    const values = fc.array(fc.double({ min: 0, max: 1e12, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(values, fc.integer({ min: 4, max: 60 }), (all, limit) => {
        const points = series(all.length, (place) => all[place] ?? 0);
        const kept = downsample(points, limit);
        expect(kept.length).toBeLessThanOrEqual(Math.max(limit, 4));
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(points.length, 3, limit));
        expect(kept).toEqual(points.filter((point) => kept.includes(point)));
        expect([kept[0], kept.at(-1)]).toEqual([points[0], points.at(-1)]);
        const told = kept.map(([, value]) => value);
        expect([Math.min(...told), Math.max(...told)]).toEqual([Math.min(...all), Math.max(...all)]);
      }),
    );
  });
});

describe("a series in bounded room", () => {
  it("keeps both ends, the lowest and the highest, in order and in its room, of however many points", () => {
    const values = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(values, fc.integer({ min: 2, max: 20 }), (all, room) => {
        const points = series(all.length, (place) => all[place] ?? 0);
        const keeper = new SpikeKeeper(room);
        for (const point of points) keeper.add(point);
        const kept = keeper.points;
        if (points.length <= room) expect(kept).toEqual(points);
        expect(kept.length).toBeLessThanOrEqual(2 * room + 2);
        expect(kept).toEqual(points.filter((point) => kept.includes(point)));
        expect([kept[0], kept.at(-1)]).toEqual([points[0], points.at(-1)]);
        const told = kept.map(([, value]) => value);
        expect([Math.min(...told), Math.max(...told)]).toEqual([Math.min(...all), Math.max(...all)]);
      }),
    );
  });

  it("is as fine in its old parts as in its new ones", () => {
    const keeper = new SpikeKeeper(100);
    for (const point of series(12_800, (place) => place % 16)) keeper.add(point);
    const times = keeper.points.map(([at]) => at / 1_000);
    const gaps = times.slice(1).map((at, place) => at - (times[place] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * 128);
    expect(times.length).toBeGreaterThan(100);
  });
});
