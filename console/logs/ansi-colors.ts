import { type TextStyle, trueColor } from "./ansi.ts";

type Rgb = readonly [red: number, green: number, blue: number];
type Theme = "light" | "dark";

/** Text has to stand out so much (WCAG 2: 4.5), and a little more, for rows that are marked or pointed at. */
const leastContrast = 5.2;
const page = { light: "ffffff", dark: "11161d" };
const plain = { light: "18212b", dark: "e3e9f0" };
/** The sixteen colours that have names, as the console's own: of text … */
const textColors = {
  light: ["566372", "b42331", "197a48", "8f6200", "0b639b", "8437a0", "0a6e77", "18212b"],
  dark: ["98a6b5", "ff8088", "4cc38a", "e5b53b", "63b4ea", "d18ced", "56c7d1", "e3e9f0"],
};
/** … and of what is behind it. */
const backColors = {
  light: ["18212b", "f7d0d4", "cdebda", "f5e3b3", "cce4f5", "ead6f2", "c9ecef", "e6ebf0"],
  dark: ["000000", "5c2027", "174a31", "54430f", "143f5c", "4a235a", "10464b", "3d4956"],
};
const cubeLevels = [0, 95, 135, 175, 215, 255];

/** Colours by what was asked for; a program that paints by the character asks for many. */
const known = new Map<string, TextColors>();
const maxKnown = 4_000;

/** The colours of a piece of text as CSS has them, one for each theme. */
export interface TextColors {
  color: string | undefined;
  backgroundColor: string | undefined;
}

/**
 * The colours that a program chose, moved as far towards black or white as it takes to read them on what is behind
 * them, in either theme.
 */
export function findColors({ fg, bg, dim = false, inverse = false }: TextStyle): TextColors {
  if (fg === undefined && bg === undefined && !dim && !inverse) return { color: undefined, backgroundColor: undefined };
  const name = `${fg}/${bg}/${dim}/${inverse}`;
  const kept = known.get(name);
  if (kept) return kept;
  const [light, dark] = (["light", "dark"] as const).map((theme) => {
    const text = fg === undefined ? parseHex(plain[theme]) : resolveColor(fg, theme, textColors);
    const behind = bg === undefined ? parseHex(page[theme]) : resolveColor(bg, theme, backColors);
    const [front, back] = inverse ? [behind, text] : [text, behind];
    return { front: makeLegible(dim ? mix(front, back, 0.35) : front, back), back };
  });
  if (!light || !dark) throw new Error("there are two themes");
  const colors = {
    color: `light-dark(${toCss(light.front)}, ${toCss(dark.front)})`,
    backgroundColor: bg === undefined && !inverse ? undefined : `light-dark(${toCss(light.back)}, ${toCss(dark.back)})`,
  };
  if (known.size >= maxKnown) known.clear();
  known.set(name, colors);
  return colors;
}

/** How well two colours can be told apart, from 1 to 21 (WCAG 2). */
export function findContrast(one: Rgb, other: Rgb): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

function resolveColor(color: number, theme: Theme, named: Record<Theme, readonly string[]>): Rgb {
  if (color >= trueColor) return [(color >> 16) & 255, (color >> 8) & 255, color & 255];
  if (color < 16) return parseHex(named[theme][color % 8] ?? plain[theme]);
  if (color >= 232) {
    const level = 8 + (color - 232) * 10;
    return [level, level, level];
  }
  const cube = color - 16;
  const levelOf = (index: number) => cubeLevels[index % 6] ?? 0;
  return [levelOf(Math.floor(cube / 36)), levelOf(Math.floor(cube / 6)), levelOf(cube)];
}

function makeLegible(front: Rgb, back: Rgb): Rgb {
  if (findContrast(front, back) >= leastContrast) return front;
  const black: Rgb = [0, 0, 0];
  const white: Rgb = [255, 255, 255];
  const goal = findContrast(black, back) > findContrast(white, back) ? black : white;
  for (let share = 0.1; share < 1; share += 0.1) {
    const moved = mix(front, goal, share);
    if (findContrast(moved, back) >= leastContrast) return moved;
  }
  return goal;
}

function mix(one: Rgb, other: Rgb, share: number): Rgb {
  const between = (at: 0 | 1 | 2) => Math.round(one[at] + (other[at] - one[at]) * share);
  return [between(0), between(1), between(2)];
}

function luminance([red, green, blue]: Rgb): number {
  const linear = (byte: number) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function parseHex(hex: string): Rgb {
  const value = Number.parseInt(hex, 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

function toCss(rgb: Rgb): string {
  return `rgb(${rgb.join(" ")})`;
}
