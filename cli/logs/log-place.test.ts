import { describe, expect, it } from "vitest";
import { type LogPlaceOptions, parseLogPlace } from "./log-place.ts";

const nowMs = Date.parse("2026-01-31T12:00:00Z");
const parse = (options: LogPlaceOptions, json = false) => parseLogPlace(options, { json, nowMs });

describe("the part of a log that is asked for", () => {
  it("is all of it where nothing is said", () => {
    expect(parse({})).toEqual({});
    expect(parse({ follow: true, tail: 3 })).toEqual({ tail: 3 });
  });

  it("is counted in lines from 1, as editors do, and in bytes as in a Range header", () => {
    expect(parse({ lines: "1-100" })).toEqual({ lines: "0-99" });
    expect(parse({ lines: "7" })).toEqual({ lines: "6-6" });
    expect(parse({ lines: "7-" })).toEqual({ lines: "6-" });
    for (const bytes of ["0-65535", "10-", "-10"]) expect(parse({ bytes })).toEqual({ bytes });
  });

  it("begins at a time, or so long ago", () => {
    expect(parse({ since: "10m" })).toEqual({ since: "2026-01-31T11:50:00.000Z" });
    expect(parse({ since: "2026-01-31T13:00:00+02:00" })).toEqual({ since: "2026-01-31T11:00:00.000Z" });
  });

  it.each<[LogPlaceOptions]>([
    [{ lines: "0-3" }],
    [{ lines: "5-4" }],
    [{ lines: "a-b" }],
    [{ lines: "" }],
    [{ bytes: "9-3" }],
    [{ bytes: "-" }],
    [{ since: "1" }],
    [{ since: "yesterday" }],
    [{ tail: 1, lines: "1-2" }],
    [{ follow: true, lines: "1-2" }],
    [{ follow: true, bytes: "1-2" }],
    [{ bytes: "1-2", timestamps: true }],
  ])("is refused as wrong usage: %j", (options) => {
    expect(() => parse(options)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it("cannot be bytes in JSON", () => {
    expect(() => parse({ bytes: "1-2" }, true)).toThrow("leave out --json");
  });
});
