import { describe, expect, it } from "vitest";
import { cutDressed, toAscii } from "./dressed.ts";
import { createScreen, decideUnicode } from "./screen.ts";
import { ansiStyle } from "./style.ts";
import { textWidth } from "./text.ts";

function openScreen(unicode = true) {
  let written = "";
  const out = {
    rows: 3,
    write: (text: string) => {
      written += text;
    },
  };
  const screen = createScreen(out, unicode);
  screen.enter();
  const take = () => {
    const text = written;
    written = "";
    return text;
  };
  take();
  return { screen, out, take };
}

describe("the screen", () => {
  it("is written whole once, and then only where it changes", () => {
    const { screen, out, take } = openScreen();
    screen.draw(["a", "", "c", "beyond"]);
    const whole = take();
    expect(whole).toContain("\u001b[2J");
    expect(whole).toContain("\u001b[1;1H\u001b[Ka");
    expect(whole).not.toContain("beyond");
    screen.draw(["a", "b", "c"]);
    expect(take()).toBe("\u001b[?2026h\u001b[2;1H\u001b[Kb\u001b[0m\u001b[?2026l");
    screen.draw(["a", "b", "c"]);
    expect(take()).toBe("");
    screen.draw(["a"]);
    expect(take()).toContain("\u001b[2;1H\u001b[K\u001b[0m\u001b[3;1H\u001b[K\u001b[0m");
    out.rows = 2;
    screen.draw(["a"]);
    expect(take()).toContain("\u001b[2J");
  });

  it("gives back what it took, once, and draws nothing without having it", () => {
    const { screen, take } = openScreen();
    screen.leave();
    expect(take()).toBe("\u001b[0m\u001b[?2004l\u001b[?7h\u001b[?25h\u001b[?1049l");
    screen.leave();
    screen.draw(["a"]);
    expect(take()).toBe("");
  });

  it("is drawn in ASCII where the locale has no more", () => {
    expect(decideUnicode({ LANG: "en_US.UTF-8" })).toBe(true);
    expect(decideUnicode({ LC_ALL: "C", LANG: "en_US.UTF-8" })).toBe(false);
    expect(decideUnicode({ LC_ALL: "", LANG: "de_DE.utf8" })).toBe(true);
    expect(decideUnicode({})).toBe(true);
    const { screen, take } = openScreen(false);
    screen.draw([ansiStyle("green", "█░ ✓ 日é…")]);
    expect(take()).toContain("\u001b[32m#. + ???~\u001b[39m");
    expect(textWidth(toAscii("█░ ✓ 日é…"))).toBe(textWidth("█░ ✓ 日é…"));
  });
});

describe("a line with colours", () => {
  it("is cut by its columns, and keeps the colours of what is left", () => {
    expect(cutDressed("plain text", 0, 20)).toBe("plain text");
    expect(cutDressed("plain text", 6, 3)).toBe("tex");
    expect(cutDressed("\u001b[31mred\u001b[0m and", 2, 3)).toBe("\u001b[31md\u001b[0m a\u001b[0m");
    expect(cutDressed("a\tb", 0, 10)).toBe("a       b");
    expect(cutDressed("日本語", 1, 4)).toBe(" 本 ");
    expect(cutDressed("short", 10, 5)).toBe("");
  });
});
