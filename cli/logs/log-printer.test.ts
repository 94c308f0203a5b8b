import { describe, expect, it } from "vitest";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { createOutput } from "../terminal/output.ts";
import { cleanForTerminal, createLogPrinter } from "./log-printer.ts";

function line(text: string, more: Partial<ApiLogLine> = {}): ApiLogLine {
  return { line: 0, step: 1, at: "2026-01-01T00:00:00.000Z", stream: "stdout", text, ...more };
}

function printTo(
  options: { isTTY: boolean; prefix?: () => string; timestamps?: boolean },
  lines: ApiLogLine[],
): string {
  let written = "";
  const stream = { isTTY: options.isTTY, write: (text: string) => (written += text), on: () => undefined };
  const { timestamps = false, prefix } = options;
  const printer = createLogPrinter({ out: createOutput(stream, options.isTTY), timestamps, prefix });
  printer.print(lines);
  printer.end();
  return written;
}

describe("lines of a log", () => {
  it("are written to a file as the task wrote them, both streams in order", () => {
    const text = "\u001b[31mred\u001b[0m\r50%\r100%";
    expect(printTo({ isTTY: false }, [line(text), line("oops", { stream: "stderr" })])).toBe(`${text}\noops\n`);
  });

  it("begin with their time or their task's name where asked for", () => {
    expect(printTo({ isTTY: false, timestamps: true }, [line("x")])).toBe("2026-01-01T00:00:00.000Z x\n");
    expect(printTo({ isTTY: false, prefix: () => "unit │ " }, [line("x"), line("y")])).toBe("unit │ x\nunit │ y\n");
  });

  it("are put together where a long one was cut, and only there", () => {
    const pieces = [line("a", { partial: true }), line("b", { partial: true }), line("c"), line("d")];
    expect(printTo({ isTTY: false, prefix: () => "> " }, pieces)).toBe("> abc\n> d\n");
    const mixed = [
      line("a", { partial: true }),
      line("e", { stream: "stderr" }),
      line("b", { step: 2, partial: true }),
    ];
    expect(printTo({ isTTY: false }, mixed)).toBe("a\ne\nb\n");
  });

  it("keep their colours on a terminal and lose everything else that acts on it", () => {
    expect(cleanForTerminal("\u001b[1;31mred\u001b[0m\u001b[2J\u001b]0;title\u0007!", true, false)).toBe(
      "\u001b[1;31mred\u001b[0m!",
    );
    expect(cleanForTerminal("a\tb\u0008\u009b31mc", true, false)).toBe("a\tbc");
  });

  it("lose their colours where there are none, and end them where another text follows", () => {
    expect(cleanForTerminal("\u001b[31mred", false, false)).toBe("red");
    expect(cleanForTerminal("\u001b[31mred", true, true)).toBe("\u001b[31mred\u001b[0m");
    expect(cleanForTerminal(`${"\r".repeat(200_000)}10 %\r100 %\r\r`, true, false)).toBe("100 %");
    expect(cleanForTerminal("\r\r", true, false)).toBe("");
  });

  it("show the last state of a line that overwrote itself", () => {
    expect(cleanForTerminal("10%\r50%\r100%\r", true, false)).toBe("100%");
    expect(cleanForTerminal("windows\r", true, false)).toBe("windows");
  });
});
