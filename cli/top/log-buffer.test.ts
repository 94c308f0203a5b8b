import { describe, expect, it } from "vitest";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { LogBuffer, type LogRow } from "./log-buffer.ts";

const line = (number: number, step = 1): ApiLogLine => ({
  ...{ line: number, step, at: "2026-01-01T00:00:00.000Z", stream: "stdout", text: `line ${step}.${number}` },
});
const show = (rows: LogRow[]) =>
  rows.map((row) => (row.kind === "line" ? row.line.text : `-- ${row.attempt}/${row.step}`));

describe("a log in memory", () => {
  it("has a rule where another step or attempt begins, and rows from anywhere", () => {
    const buffer = new LogBuffer();
    for (const number of [5, 6]) buffer.push(1, line(number));
    buffer.push(1, line(0, 2));
    buffer.push(2, line(0));
    expect(show(buffer.rows(0, 99))).toEqual([
      ...["-- 1/1", "line 1.5", "line 1.6", "-- 1/2", "line 2.0", "-- 2/1", "line 1.0"],
    ]);
    expect(show(buffer.rows(2, 3))).toEqual(["line 1.6", "-- 1/2", "line 2.0"]);
    expect(buffer.length).toBe(7);
  });

  it("takes what was before, and tells by how much its rows have moved", () => {
    const buffer = new LogBuffer();
    buffer.push(1, line(2, 2));
    expect(buffer.first).toEqual({ attempt: 1, step: 2, line: 2 });
    buffer.unshift(1, [line(0, 2), line(1, 2)]);
    buffer.unshift(1, [line(9)]);
    expect(show(buffer.rows(0, 99))).toEqual(["-- 1/1", "line 1.9", "-- 1/2", "line 2.0", "line 2.1", "line 2.2"]);
    expect(buffer.dropped).toBe(-4);
    buffer.unshift(1, []);
    expect(buffer.length).toBe(6);
  });

  it("gives up its first lines where it would become too large", () => {
    const buffer = new LogBuffer({ lines: 10, characters: 1_000 });
    for (let number = 0; number < 11; number++) buffer.push(1, line(number));
    expect(buffer.first?.line).toBe(6);
    expect([buffer.dropped, buffer.length]).toEqual([6, 6]);
  });

  it("is searched onwards and back, and round its ends, in any case", () => {
    const buffer = new LogBuffer();
    for (let number = 0; number < 4; number++) buffer.push(1, line(number));
    expect(buffer.find("LINE 1.3", 0, 1)).toBe(4);
    expect(buffer.find("line", 4, 1)).toBe(1);
    expect(buffer.find("line", 1, -1)).toBe(4);
    expect([buffer.find("nothing", 0, 1), new LogBuffer().find("x", 0, 1)]).toEqual([-1, -1]);
  });
});
