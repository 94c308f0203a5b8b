import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eachLogLine, findLogLine, type LogLine, type LogRun, sliceLog } from "./domain/log-line.ts";
import { packLogChunk, readLogChunk, unpackLogChunk } from "./log-chunk.ts";

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
    // The last is whole, but its runs are those of another text.
    for (const bytes of [Buffer.alloc(0), zstdCompressSync("a\n"), stored.subarray(0, -1), stored]) {
      await expect(unpackLogChunk(bytes)).rejects.toThrow(/no chunk of a log/);
    }
  });

  it("is one line that says so where it cannot be read, whichever of its lines are asked for", async () => {
    const content = await readLogChunk(zstdCompressSync("a\nb\nc\n"), { lines: 3, bytes: 6, firstAtMs: 5 });
    const notice = {
      atMs: 5,
      stream: "stderr",
      partial: false,
      text: expect.stringMatching(/^\[sluice\] 3 lines \(6 bytes\) cannot be read: .*no chunk of a log/),
    };
    expect([...eachLogLine(content, 2)]).toEqual([notice]);
    expect([...eachLogLine(sliceLog(content, 1, 2))]).toEqual([notice]);
  });

  it("is what was printed or that line, whichever byte of it was changed or cut", async () => {
    const lines: LogLine[] = [{ atMs: 1, stream: "stdout", text: "some text", partial: false }];
    const stored = await packLogChunk({ text: Buffer.from("some text\n"), runs: toRuns(lines, true) });
    for (let at = 0; at < stored.length; at++) {
      const changed = Buffer.from(stored);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      for (const bytes of [changed, stored.subarray(0, at)]) {
        const content = await readLogChunk(bytes, { lines: 1, bytes: 10, firstAtMs: 1 });
        expect([...eachLogLine(content)].map(({ text }) => text)).toEqual([
          expect.stringMatching(/^some text$|^\[sluice\] 1 line \(10 bytes\) cannot be read/),
        ]);
      }
    }
  });
});
