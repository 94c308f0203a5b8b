import { describe, expect, it } from "vitest";
import { type TextStyle, trueColor } from "./ansi.ts";
import { findColors, findContrast } from "./ansi-colors.ts";

/** Front and back of both themes, with the page's own where none is chosen. */
function resolve(style: TextStyle) {
  const { color = "", backgroundColor = "light-dark(rgb(255 255 255), rgb(17 22 29))" } = findColors(style);
  const read = (css: string) =>
    [...css.matchAll(/rgb\((\d+) (\d+) (\d+)\)/g)].map(([, r, g, b]) => [Number(r), Number(g), Number(b)] as const);
  return read(color).flatMap((front, theme) => {
    const back = read(backgroundColor)[theme];
    return back ? { front, back } : [];
  });
}

describe("colours that a program chose", () => {
  const colors = [
    ...Array.from({ length: 256 }, (_, index) => index),
    trueColor,
    trueColor | 0xffffff,
    trueColor | 0x808080,
  ];
  const backs = [undefined, 0, 1, 7, 15, 21, 226, 250, trueColor | 0x777777];
  const styles = colors.flatMap((fg) =>
    backs.flatMap((bg) =>
      [false, true].map((inverse): TextStyle => ({ fg, inverse, ...(bg === undefined ? {} : { bg }) })),
    ),
  );

  it("can be read in both themes, whatever is behind them", () => {
    const poor = styles.filter((style) => {
      const pairs = resolve(style);
      return pairs.length !== 2 || pairs.some(({ front, back }) => findContrast(front, back) < 4.5);
    });
    expect(poor).toEqual([]);
    expect(resolve({ dim: true }).every(({ front, back }) => findContrast(front, back) >= 4.5)).toBe(true);
  });

  it("stay as they are where they can be read", () => {
    expect(findColors({ fg: trueColor | 0xc00000 }).color).toMatch(/^light-dark\(rgb\(192 0 0\), /);
    expect(findColors({ bold: true })).toEqual({ color: undefined, backgroundColor: undefined });
  });
});
