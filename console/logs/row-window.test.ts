import { describe, expect, it } from "vitest";
import { rowHeightPx, scrollHeight, topOf, windowAt } from "./row-window.ts";

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
});
