import { describe, expect, it } from "vitest";
import { plainText, readLine, stripEscapes, trueColor } from "./ansi.ts";

const esc = "\u001b[";

describe("a line of a terminal", () => {
  it.each([
    ["plain", "plain"],
    [`${esc}31mred${esc}0m and ${esc}38;5;208morange${esc}m`, "red and orange"],
    ["10 %\r55 %\r100 %", "100 %"],
    ["downloading 10 %\rdone\r", "doneloading 10 %"],
    [`downloading 10 %\r${esc}Kdone`, "done"],
    ["windows\r", "windows"],
    ["typo\b\bing", "tying"],
    [`a${esc}3Gb${esc}999999999Gc`.slice(0, -1), "a b"],
    ["\u001b]0;title\u0007text \u001b]8;;https://x.test\u001b\\link\u001b]8;;\u001b\\", "text link"],
    ["bell\u0007 nul\u0000 shift\u000f\u001b(B one\u0001", "bell nul shift one␁"],
    [`${esc}?25lhidden cursor${esc}12`, "hidden cursor12"],
    ["日本語 😀\r中", "中本語 😀"],
    ["<b>&amp;", "<b>&amp;"],
    ["", ""],
  ])("%j is seen as %j", (raw, seen) => {
    expect(plainText(raw)).toBe(seen);
  });

  it("takes styles of all kinds, and lets go of them one by one", () => {
    const line = `${esc}1;4;31mA${esc}22mB${esc}39;24mC${esc}38;2;1;2;3;48;5;250;7mD${esc}27;49mE${esc}4:3;38:2::9:8:7mF`;
    expect(readLine(line)).toEqual([
      { text: "A", style: { bold: true, underline: true, fg: 1 } },
      { text: "B", style: { bold: false, dim: false, underline: true, fg: 1 } },
      { text: "C", style: undefined },
      { text: "D", style: { fg: trueColor | 0x010203, bg: 250, inverse: true } },
      { text: "E", style: { fg: trueColor | 0x010203, inverse: false } },
      { text: "F", style: { fg: trueColor | 0x090807, inverse: false, underline: true } },
    ]);
  });

  it("leaves out colours that are none", () => {
    expect(readLine(`${esc}38;5;999mA${esc}38;2;1;2mB${esc}>4;1mC`)).toEqual([
      { text: "A", style: undefined },
      { text: "BC", style: { fg: trueColor | 0x010200 } },
    ]);
  });

  it("strips many lines at once, unless something in them moves back", () => {
    expect(stripEscapes(`${esc}1mone${esc}0m\ntwo`)).toBe("one\ntwo");
    expect(stripEscapes("one\rtwo\nthree")).toBeUndefined();
  });
});
