import { describe, expect, it } from "vitest";
import { addPoint, drawTrack, measureTrack, spanTracks, type Track, trackMs } from "./track.ts";

const minuteMs = 60_000;

function build(...points: [minute: number, value: number | undefined][]): Track {
  return points.reduce<Track>((track, [minute, value]) => addPoint(track, { atMs: minute * minuteMs, value }), []);
}

describe("the track of a value", () => {
  it("keeps changes only, for ten minutes, and the value that these begin with", () => {
    expect(build([0, 1], [1, 1], [2, 3])).toEqual([
      { atMs: 0, value: 1 },
      { atMs: 2 * minuteMs, value: 3 },
    ]);
    const long = build([0, 1], [1, 2], [2, 3], [13, 4]);
    expect(long.map(({ value }) => value)).toEqual([3, 4]);
    const busy = build(...Array.from({ length: 3_600 }, (_, second): [number, number] => [second / 30, second]));
    expect(busy.length).toBeLessThanOrEqual(trackMs / 2_000 + 2);
  });

  it("measures what was seen, not what was before or between", () => {
    const track = build([0, 90], [1, 5], [2, undefined], [3, 8], [4, 2]);
    const nowMs = 11.5 * minuteMs;
    expect(measureTrack(track, { nowMs, spanMs: trackMs })).toEqual({ min: 2, max: 8 });
    expect(measureTrack(track, { nowMs, spanMs: minuteMs })).toEqual({ min: 2, max: 2 });
    expect(measureTrack([], { nowMs, spanMs: trackMs })).toBeUndefined();
    expect(measureTrack(build([0, undefined]), { nowMs: minuteMs, spanMs: trackMs })).toBeUndefined();
  });

  it("reaches from one to ten minutes back, as far as any of those beside it", () => {
    expect(spanTracks([], 0)).toBe(minuteMs);
    expect(spanTracks([build([4.5, 1])], 5 * minuteMs)).toBe(minuteMs);
    expect(spanTracks([build([4.5, 1]), build([1, 1])], 5 * minuteMs)).toBe(4 * minuteMs);
    expect(spanTracks([build([0, 1])], 99 * minuteMs)).toBe(trackMs);
  });

  it("draws steps to the right edge, and no line where nobody looked", () => {
    const box = { nowMs: 10 * minuteMs, spanMs: trackMs, width: 100, height: 20, max: 10 };
    expect(drawTrack(build([0, 0], [5, 10]), box)).toBe("M0 20H50V0H100");
    expect(drawTrack(build([0, 10], [2, undefined], [8, 5]), box)).toBe("M0 0H20M80 10H100");
    expect(drawTrack(build([0, 3]), { ...box, nowMs: 40 * minuteMs })).toBe("M0 14H100");
    expect(drawTrack([], box)).toBe("");
  });
});
