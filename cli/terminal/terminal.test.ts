import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { formatAge, formatBytes, formatDuration, plural } from "../../shared/domain/format.ts";
import { oneLine } from "./one-line.ts";
import { createOutput, decideColor } from "./output.ts";
import { ansiStyle, plainStyle } from "./style.ts";
import { renderTable } from "./table.ts";
import { pad, textWidth, truncate, wrap } from "./text.ts";

describe("words for figures", () => {
  it.each([
    [0, "0.0 s"],
    [2_149, "2.1 s"],
    [9_949, "9.9 s"],
    [9_950, "10 s"],
    [59_400, "59 s"],
    [59_600, "1 min 00 s"],
    [185_000, "3 min 05 s"],
    [3_600_000, "1 h 00 min"],
    [3_725_000, "1 h 02 min"],
    [183_600_000, "2 d 3 h"],
    [-5_000, "0.0 s"],
  ])("%i ms are %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it.each([
    [-10, "just now"],
    [12_000, "12 s ago"],
    [119_000, "1 min ago"],
    [3 * 3_600_000, "3 h ago"],
    [72 * 3_600_000, "3 d ago"],
  ])("%i ms back is %s", (ms, text) => {
    expect(formatAge(ms)).toBe(text);
  });

  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1.0 kB"],
    [34_400_000, "34 MB"],
    [999_999, "1.0 MB"],
    [5e15, "5000 TB"],
  ])("%i bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it("counts one and many", () => {
    expect([plural(1, "task"), plural(10_000, "task")]).toEqual(["1 task", "10,000 tasks"]);
  });
});

describe("text on a terminal", () => {
  it("is measured in columns", () => {
    expect([textWidth("abc"), textWidth("✅"), textWidth("⚠️"), textWidth("日本")]).toEqual([3, 2, 2, 4]);
  });

  it("is cut between characters, wide ones and joined ones too", () => {
    expect(truncate("abcdef", 6)).toBe("abcdef");
    expect(truncate("abcdef", 4)).toBe("abc…");
    expect(truncate("日本語", 4)).toBe("日…");
    expect(truncate("👩‍👩‍👧x👩‍👩‍👧", 4)).toBe("👩‍👩‍👧x…");
    expect([truncate("abc", 1), truncate("abc", 0)]).toEqual(["…", ""]);
  });

  it("is filled on the side asked for", () => {
    expect([pad("✅", 4), pad("7", 3, "right")]).toEqual(["✅  ", "  7"]);
  });

  it("is broken at its spaces, and within a word only where that alone is too long", () => {
    expect(wrap("a verylongword b", 5)).toEqual(["a", "veryl", "ongwo", "rd b"]);
    expect(wrap("one two three four", 10)).toEqual(["one two", "three four"]);
    expect(wrap("any length", Number.POSITIVE_INFINITY)).toEqual(["any length"]);
  });

  it("stays one line and harmless whatever it holds", () => {
    expect(oneLine("a\r\n  b\tc\u001b[31m\u0007\u202e\u2028d")).toBe("a b c·[31m···d");
  });
});

describe("a table", () => {
  const columns = [
    { heading: "NAME", shrinkTo: 6 },
    { heading: "SIZE", align: "right" as const },
    { heading: "WHY", shrinkTo: 5 },
  ];
  const rows = [
    [{ text: "alpha-beta-gamma" }, { text: "1" }, { text: "because of it" }],
    [{ text: "✅" }, { text: "1,000" }, { text: "" }],
  ];

  it("aligns its columns and leaves no spaces at the ends of lines", () => {
    expect(renderTable(columns, rows, { width: 80 })).toEqual([
      "NAME               SIZE  WHY",
      "alpha-beta-gamma      1  because of it",
      "✅                1,000",
    ]);
  });

  it("makes its last columns narrower first, down to what they need", () => {
    expect(renderTable(columns, rows, { width: 30, headings: false })).toEqual([
      "alpha-beta-gamma      1  beca…",
      "✅                1,000",
    ]);
    expect(renderTable(columns, rows, { width: 20, headings: false })[0]).toBe("alpha…      1  beca…");
    expect(renderTable(columns, rows, { width: 12, headings: false })[0]).toBe("a…      1  …");
  });

  it("goes on in further lines in a column that wraps", () => {
    const wrapping = [{ heading: "N" }, { heading: "WHY", shrinkTo: 10, wrap: true }];
    const lines = renderTable(wrapping, [[{ text: "a" }, { text: "first second third" }]], {
      width: 15,
      headings: false,
    });
    expect(lines).toEqual(["a  first second", "   third"]);
  });

  it("dresses cells without disturbing the columns", () => {
    const dressed = renderTable([{ heading: "" }, { heading: "" }], [[{ text: "a", style: "red" }, { text: "b" }]], {
      width: 10,
      style: ansiStyle,
      headings: false,
    });
    expect(dressed).toEqual(["\u001b[31ma\u001b[39m  b"]);
  });
});

describe("an output", () => {
  class FakeStream extends EventEmitter {
    written = "";
    readonly isTTY: boolean;
    readonly columns: number | undefined;
    constructor(isTTY: boolean, columns?: number) {
      super();
      this.isTTY = isTTY;
      this.columns = columns;
    }
    write(text: string): void {
      this.written += text;
    }
  }

  it("has no width without a terminal, and a usual one where a terminal tells none", () => {
    expect(createOutput(new FakeStream(false), false).columns).toBe(Number.POSITIVE_INFINITY);
    expect(createOutput(new FakeStream(true, 0), false).columns).toBe(80);
    expect(createOutput(new FakeStream(true, 132), false).columns).toBe(132);
  });

  it("writes nothing more once its reader has gone", () => {
    const stream = new FakeStream(false);
    const output = createOutput(stream, false);
    output.writeLines(["a", "b"]);
    stream.emit("error", Object.assign(new Error("gone"), { code: "EPIPE" }));
    output.write("c");
    expect([output.closed, stream.written]).toEqual([true, "a\nb\n"]);
  });

  it("does not hide any other fault of its stream", () => {
    const stream = new FakeStream(false);
    createOutput(stream, false);
    expect(() => stream.emit("error", Object.assign(new Error("full"), { code: "ENOSPC" }))).toThrow("full");
  });

  it.each([
    ["a terminal", { isTTY: true }, {}, true, true],
    ["a pipe", { isTTY: false }, {}, true, false],
    ["--no-color", { isTTY: true }, {}, false, false],
    ["NO_COLOR", { isTTY: true }, { NO_COLOR: "1" }, true, false],
    ["NO_COLOR before FORCE_COLOR", { isTTY: true }, { NO_COLOR: "1", FORCE_COLOR: "1" }, true, false],
    ["FORCE_COLOR", { isTTY: false }, { FORCE_COLOR: "1" }, true, true],
    ["a dumb terminal", { isTTY: true }, { TERM: "dumb" }, true, false],
  ])("decides on colours: %s", (_what, stream, env, flag, expected) => {
    expect(decideColor(stream, env, flag)).toBe(expected);
  });

  it("dresses nothing without colours", () => {
    expect(plainStyle("red", "x")).toBe("x");
  });
});
