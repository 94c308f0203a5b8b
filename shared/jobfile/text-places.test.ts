import { describe, expect, it } from "vitest";
import { indexPlaces } from "./text-places.ts";

describe("indexPlaces", () => {
  const text = "first\nsecond\r\n\nlast";
  const places = indexPlaces(text);

  it.each([
    [0, 1, 1, "first"],
    [4, 1, 5, "first"],
    [5, 1, 6, "first"],
    [6, 2, 1, "second"],
    [14, 3, 1, ""],
    [15, 4, 1, "last"],
    [19, 4, 5, "last"],
    [1000, 4, 5, "last"],
    [-1, 1, 1, "first"],
  ])("places offset %i at %i:%i", (offset, line, column, excerpt) => {
    expect(places.at(offset)).toMatchObject({ line, column, excerpt: { text: excerpt } });
  });

  it("cuts long lines around the column and keeps the caret on it", () => {
    const line = `${"a".repeat(500)}X${"b".repeat(500)}`;
    const place = indexPlaces(line).at(500);
    expect(place.column).toBe(501);
    expect(place.excerpt.text.length).toBeLessThan(130);
    expect(place.excerpt.text[place.excerpt.caret]).toBe("X");
    expect(place.excerpt.text).toMatch(/^…a+Xb+…$/);
  });

  it("shows control characters as dots, so that excerpts cannot steer a terminal", () => {
    expect(indexPlaces("a\u001b[31m\tb").at(0).excerpt.text).toBe("a·[31m·b");
  });
});
