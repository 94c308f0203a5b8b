import { describe, expect, it } from "vitest";
import type { Context } from "../context.ts";
import { createOutput } from "../terminal/output.ts";
import { createProgressBoard } from "./progress.ts";

function createScreen(options: { isTTY: boolean; verbose?: boolean }) {
  let written = "";
  const stream = {
    isTTY: options.isTTY,
    columns: 40,
    rows: 10,
    write: (text: string) => {
      written += text;
    },
    on: () => undefined,
  };
  const err = createOutput(stream, false);
  const note = (text: string) => err.write(`${text}\n`);
  const context = { err, note, quiet: false, verbose: options.verbose === true };
  return { board: createProgressBoard(context as unknown as Context), read: () => written };
}

/** What a terminal shows in the end: cursor-up and erase-below are all that is used. */
function render(written: string): string[] {
  const lines = [""];
  let row = 0;
  for (const [token] of written.replaceAll("\u001b", "\u241b").matchAll(/\u241b\[\d*[AJ]|\n|\r|[^\u241b\r\n]+/g)) {
    if (token === "\n") {
      row += 1;
      lines[row] ??= "";
    } else if (/^\u241b.*A$/.test(token)) row -= Number(token.slice(2, -1));
    else if (token === "\u241b[J") lines.splice(row, lines.length, "");
    else if (token !== "\r") lines[row] = (lines[row] ?? "") + token;
  }
  return lines.filter((line) => line !== "");
}

const withoutTimes = (lines: readonly string[]) => lines.map((line) => line.replace(/\d+\.\d s/, "T").trimEnd());

describe("the progress board", () => {
  it("moves a line for each thing on a terminal, none longer than it, and leaves only what ended", () => {
    const { board, read } = createScreen({ isTTY: true });
    const one = board.start("building a", { saysMuch: true });
    const two = board.start("building b", { saysMuch: true });
    one.showLine("x".repeat(200));
    two.showLine("second\u001b[31m");
    one.end("built a");
    expect(withoutTimes(render(read()))).toEqual(["built a", expect.stringMatching(/^building b T/)]);
    for (const line of render(read())) expect(line.length).toBeLessThan(40);
    two.end();
    two.end("not told twice");
    expect(render(read())).toEqual(["built a"]);
  });

  it("writes plain lines elsewhere", () => {
    const { board, read } = createScreen({ isTTY: false });
    const one = board.start("building a", { saysMuch: true });
    const two = board.start("building b", { saysMuch: true });
    one.showLine("hidden");
    two.end("built b");
    one.end();
    expect(read()).toBe("building a …\nbuilding b …\nbuilt b\n");
  });

  it("says with -v who says what where several say it", () => {
    const { board, read } = createScreen({ isTTY: true, verbose: true });
    const one = board.start("building a", { saysMuch: true });
    one.showLine("alone");
    const two = board.start("shipping b", { saysMuch: false });
    one.showLine("not alone");
    two.showLine("1 MB of 2 MB");
    expect(read()).toBe("building a …\n  alone\nshipping b …\n  building a: not alone\n");
  });
});
