import { describe, expect, it } from "vitest";
import { parseDuration, parseSize } from "./units.ts";

describe("parseDuration", () => {
  it.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["30d", 2_592_000_000],
    ["0s", 0],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["1d2h3m4s5ms", 93_784_005],
    ["0.0004s", 0],
  ])("reads %s", (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  it.each(["", "10", "s", "-5s", ".5h", "1.h", "1h 30m", "1h30", "5 m", "5M", "5sec", " 5s", "5s\n", "999999999999d"])(
    "refuses '%s'",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});

describe("parseSize", () => {
  it.each([
    ["512", 512],
    ["512b", 512],
    ["2k", 2_048],
    ["512m", 536_870_912],
    ["4g", 4_294_967_296],
    ["1t", 1_099_511_627_776],
  ])("reads %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(["", "4G", "4gb", "-1g", "1.5g", "999999999999t"])("refuses '%s'", (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});
