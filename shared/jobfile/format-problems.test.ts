import { describe, expect, it } from "vitest";
import { formatProblems } from "./format-problems.ts";
import { parseJobFile } from "./parse.ts";

function format(source: string): string {
  const parsed = parseJobFile(source, { fileName: "hello.yaml" });
  return parsed.ok ? "" : formatProblems(parsed.problems);
}

describe("formatProblems", () => {
  it("writes place, path and message, and a caret under the column", () => {
    expect(format("name: hello\nsteps:\n  - imgae: x\ntasks: [unit]\n")).toBe(
      [
        "hello.yaml:3:5 steps[0].imgae: unknown key 'imgae' in steps[0]; did you mean 'image'?",
        "  3 |   - imgae: x",
        "          ^",
        "",
      ].join("\n"),
    );
  });

  it("shows both places of a problem with two, and an empty line between problems", () => {
    expect(format("name: hello\nsteps: [{ run: x }]\ntasks:\n  - unit\n  - unit\npool: A\n")).toBe(
      [
        "hello.yaml:5:5 tasks[1]: task 'unit' is already defined by tasks[0]; names must be unique",
        "  5 |   - unit",
        "          ^",
        "  hello.yaml:4:5 first defined here",
        "  4 |   - unit",
        "          ^",
        "",
        "hello.yaml:6:7 pool: 'A' is not a pool name; use lower-case letters, digits, '-' and '_', starting with a letter or digit",
        "  6 | pool: A",
        "            ^",
        "",
      ].join("\n"),
    );
  });

  it("puts the caret right after wide characters", () => {
    const lines = format("name: hello\nsteps: [{ run: 日本, imge: x }]\ntasks: [unit]\n").split("\n");
    expect(lines[2]).toBe(`${" ".repeat("  2 | steps: [{ run: ____, ".length)}^`);
  });

  it("prints nothing that could steer a terminal", () => {
    expect(format('"\\e[31mred": x\nname: "\u001b[0m"\n')).not.toMatch(/[^\n\P{Cc}]/u);
  });
});
