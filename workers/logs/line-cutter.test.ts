import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LogLine } from "../../shared/domain/log-line.ts";
import { LineCutter, type LogStream, maxLineBytes } from "./line-cutter.ts";

function collect(): { lines: LogLine[]; cutter: LineCutter } {
  const lines: LogLine[] = [];
  const cutter = new LineCutter((kind, source, start, end) => {
    const text = source.toString("utf8", start, end);
    const texts = kind.partial ? [text] : text.split("\n").slice(0, -1);
    lines.push(...texts.map((text) => ({ ...kind, text })));
  });
  return { lines, cutter };
}

/** The text a stream's lines stand for: what a reader shows. */
function joined(lines: readonly LogLine[], stream: LogStream): string {
  return lines
    .filter((line) => line.stream === stream)
    .map((line) => line.text + (line.partial ? "" : "\n"))
    .join("");
}

describe("LineCutter", () => {
  it("cuts at newlines, also across reads, with the time of the read that ended the line", () => {
    const { lines, cutter } = collect();
    cutter.push("stdout", Buffer.from("one\ntw"), 1);
    cutter.push("stdout", Buffer.from("o\n\n"), 2);
    expect(lines).toEqual([
      { atMs: 1, stream: "stdout", partial: false, text: "one" },
      { atMs: 2, stream: "stdout", partial: false, text: "two" },
      { atMs: 2, stream: "stdout", partial: false, text: "" },
    ]);
  });

  it("keeps the streams apart and marks what had no newline at the end", () => {
    const { lines, cutter } = collect();
    cutter.push("stdout", Buffer.from("ou"), 1);
    cutter.push("stderr", Buffer.from("err\n"), 2);
    cutter.push("stdout", Buffer.from("t"), 3);
    cutter.end(4);
    expect(lines.map((line) => [line.stream, line.text, line.partial])).toEqual([
      ["stderr", "err", false],
      ["stdout", "out", true],
    ]);
  });

  it("cuts a line of 1 MB into pieces of at most 64 KiB that join to the same line", () => {
    for (const readSize of [1000, 65_536, 2_000_000]) {
      const { lines, cutter } = collect();
      const long = `${"é".repeat(524_288)}!\n`;
      const bytes = Buffer.from(long);
      for (let at = 0; at < bytes.length; at += readSize) cutter.push("stdout", bytes.subarray(at, at + readSize), 1);
      expect(Math.max(...lines.map((line) => Buffer.byteLength(line.text)))).toBeLessThanOrEqual(maxLineBytes);
      expect(joined(lines, "stdout")).toBe(long);
      expect(lines.filter((line) => !line.partial)).toHaveLength(1);
    }
  });

  it("replaces invalid bytes and keeps a character whole that is split between reads", () => {
    const { lines, cutter } = collect();
    const euro = Buffer.from("€");
    cutter.push("stdout", Buffer.concat([Buffer.from([0xff]), euro.subarray(0, 1)]), 1);
    cutter.push("stdout", Buffer.concat([euro.subarray(1), Buffer.from("\n")]), 2);
    cutter.push("stdout", euro.subarray(0, 2), 3);
    cutter.end(4);
    expect(lines.map((line) => line.text)).toEqual(["\ufffd€", "\ufffd"]);
  });

  it("hands out a waiting prompt at a flush, but not a line that has only just begun", () => {
    const { lines, cutter } = collect();
    cutter.push("stdout", Buffer.from("password: "), 0);
    cutter.push("stderr", Buffer.from("just beg"), 900);
    cutter.flush(1000, 500);
    expect(lines).toEqual([{ atMs: 1000, stream: "stdout", partial: true, text: "password: " }]);
    expect(cutter.hasRest).toBe(true);
  });

  it("loses and changes nothing of any UTF-8 text, however it is read", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom<LogStream>("stdout", "stderr"), fc.string({ unit: "binary" }), fc.nat(7))),
        (writes) => {
          const { lines, cutter } = collect();
          const sent = { stdout: "", stderr: "" };
          for (const [stream, text, size] of writes) {
            const bytes = Buffer.from(`${text}\n`.toWellFormed());
            sent[stream] += bytes.toString();
            for (let at = 0; at < bytes.length; at += size + 1) {
              cutter.push(stream, bytes.subarray(at, at + size + 1), 1);
              if (size === 0) cutter.flush(1, 0);
            }
          }
          cutter.end(2);
          for (const stream of ["stdout", "stderr"] as const) expect(joined(lines, stream)).toBe(sent[stream]);
          for (const line of lines) expect(line.text).not.toContain("\n");
        },
      ),
    );
  });
});
