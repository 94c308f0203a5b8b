import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eachLogLine, findLogLine, type LogLine, type LogRun } from "./domain/log-line.ts";
import { packLogChunk, unpackLogChunk } from "./log-chunk.ts";

const line = fc.record<LogLine>({
  atMs: fc.integer({ min: 0, max: 2 ** 41 }),
  stream: fc.constantFrom("stdout", "stderr"),
  text: fc.string({ unit: "binary" }).map((text) => text.toWellFormed().replaceAll("\n", " ")),
  partial: fc.boolean(),
});

const textOf = (lines: readonly LogLine[]) => lines.map(({ text, partial }) => (partial ? text : `${text}\n`));

/** Each line as a run of its own, or with those before it that it is like. */
function toRuns(lines: readonly LogLine[], join: boolean): LogRun[] {
  const runs: LogRun[] = [];
  for (const [index, { text: _text, ...kind }] of lines.entries()) {
    const bytes = Buffer.byteLength(textOf(lines)[index] ?? "");
    const last = runs.at(-1);
    const isLike = last?.atMs === kind.atMs && last.stream === kind.stream && !last.partial && !kind.partial;
    if (join && isLike) Object.assign(last, { lines: last.lines + 1, bytes: last.bytes + bytes });
    else runs.push({ ...kind, lines: 1, bytes });
  }
  return runs;
}

describe("a chunk of a log", () => {
  it("is read back line by line from any line on, and is its text to every decoder", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.boolean(),
        fc.nat(20),
        fc.constantFrom(1, 3),
        async (some, join, first, times) => {
          const lines = some.flatMap((one) => Array<LogLine>(times).fill(one));
          const text = Buffer.from(textOf(lines).join(""));
          const stored = await packLogChunk({ text, runs: toRuns(lines, join) });
          expect(zstdDecompressSync(stored).equals(text)).toBe(true);
          const content = await unpackLogChunk(stored);
          expect([...eachLogLine(content, first)]).toEqual(lines.slice(first));
          expect(findLogLine(content, first)).toBe(Buffer.byteLength(textOf(lines.slice(0, first)).join("")));
        },
      ),
      { numRuns: 50 },
    );
  });

  it("is not taken for one where it is something else or was cut", async () => {
    const stored = await packLogChunk({ text: Buffer.from("a\n"), runs: toRuns([], false) });
    for (const bytes of [Buffer.alloc(0), zstdCompressSync("a\n"), stored.subarray(0, -1)]) {
      await expect(unpackLogChunk(bytes)).rejects.toThrow(/no chunk of a log/);
    }
  });
});
