import { describe, expect, it } from "vitest";
import { isScaled, moveTop, rowHeightPx, scrollHeight, topOf, windowAt } from "./row-window.ts";

describe("the part of a list of rows that is in view", () => {
  const end = (geometry: Parameters<typeof scrollHeight>[0]) => scrollHeight(geometry) - geometry.heightPx;

  it.each([40, 10_000, 1_000_000])("has the last of %i rows whole at the end of the bar", (rows) => {
    const geometry = { rows, heightPx: 610, wraps: false };
    const { first, part, count } = windowAt(end(geometry), geometry);
    expect(first + count).toBe(rows);
    expect((rows - first - part) * rowHeightPx).toBeLessThanOrEqual(610 - rowHeightPx + 1);
  });

  it("brings each row to the top where rows are of any height", () => {
    const geometry = { rows: 1_000_000, heightPx: 600, wraps: true };
    expect(windowAt(end(geometry), geometry)).toMatchObject({ first: 999_999, count: 1 });
    expect(windowAt(topOf(500, geometry, "top") + 0.1, geometry).first).toBe(500);
  });

  it("does not move what fits", () => {
    const geometry = { rows: 3, heightPx: 600, wraps: false };
    expect(scrollHeight(geometry)).toBe(600);
    expect(windowAt(0, geometry)).toEqual({ first: 0, part: 0, count: 3 });
    expect(windowAt(0, { ...geometry, rows: 0 }).count).toBe(0);
  });

  it("moves by what is seen where the bar is too coarse for it", () => {
    const long = { rows: 2_000_000, heightPx: 600, wraps: false };
    expect(isScaled(long)).toBe(true);
    expect(isScaled({ ...long, rows: 100_000 })).toBe(false);
    const start = topOf(1_000, long, "top");
    const moved = windowAt(moveTop(start, 5 * rowHeightPx, long, []), long);
    expect(moved.first + moved.part).toBeCloseTo(1_005, 3);
    expect(moveTop(start, -1e12, long, [])).toBe(0);
    expect(moveTop(start, 1e12, long, [])).toBe(end(long));
    const wrapped = { rows: 100, heightPx: 600, wraps: true };
    // Through the second half of a row of 400 pixels, one of 20, and half of one of 100.
    const place = windowAt(moveTop(topOf(10, wrapped, "top") + 10, 200 + 20 + 50, wrapped, [400, 20, 100]), wrapped);
    expect(place.first + place.part).toBeCloseTo(12.5, 3);
  });
});
