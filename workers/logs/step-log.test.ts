import { setImmediate } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { eachLogLine } from "../../shared/domain/log-line.ts";
import { parseLogChunkName } from "../../shared/domain/object-keys.ts";
import { unpackLogChunk } from "../../shared/log-chunk.ts";
import { StepLog, type StepLogOptions } from "./step-log.ts";

/** The lines of a stored chunk as `<ms> <o|e> <text>`, with a capital letter for one without a newline. */
async function describeLines(stored: Uint8Array): Promise<string> {
  const lines = [...eachLogLine(await unpackLogChunk(stored))].map(({ atMs, stream, partial, text }) => {
    const letter = stream === "stdout" ? "o" : "e";
    return `${atMs} ${partial ? letter.toUpperCase() : letter} ${text}\n`;
  });
  return lines.join("");
}

function openLog(overrides: Partial<StepLogOptions> = {}) {
  const chunks: { name: string; text: string }[] = [];
  const faults: Error[] = [];
  const stop = new AbortController();
  const log = new StepLog({
    owner: { step: 1, name: "step 1" },
    putChunk: async (name, content) => {
      chunks.push({ name, text: await describeLines(content) });
    },
    flushMs: () => 60_000,
    uploadDeadlineMs: 60_000,
    nowMs: () => 1_700_000_000_000,
    signal: stop.signal,
    onFault: (error) => faults.push(error),
    ...overrides,
  });
  onTestFinished(() => stop.abort());
  return { log, chunks, faults, stop };
}

function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describe("StepLog", () => {
  it("stores nothing for a step that printed nothing", async () => {
    const { log, chunks } = openLog();
    expect(await log.close()).toEqual({ step: 1, name: "step 1", chunks: 0, lines: 0, bytes: 0 });
    expect(chunks).toEqual([]);
  });

  it("stores lines with time and stream in chunks whose names tell lines and bytes", async () => {
    const { log, chunks } = openLog();
    log.write("stdout", Buffer.from("hello\nwor"));
    log.write("stderr", Buffer.from("oops\n"));
    const summary = await log.close();
    expect(chunks.map((chunk) => chunk.text)).toEqual([
      "1700000000000 o hello\n1700000000000 e oops\n1700000000000 O wor\n",
    ]);
    const bytes = "hello\noops\nwor".length;
    expect(summary).toEqual({ step: 1, name: "step 1", chunks: 1, lines: 3, bytes });
    expect(parseLogChunkName(chunks[0]?.name ?? "")).toEqual({
      sequence: 0,
      lastSequence: 0,
      firstLine: 0,
      lines: 3,
      firstByte: 0,
      bytes,
      firstAtMs: 1_700_000_000_000,
    });
  });

  it("stores what was printed within the flush time, and a prompt without a newline too", async () => {
    const { log, chunks } = openLog({ flushMs: () => 5, nowMs: Date.now });
    log.write("stdout", Buffer.from("first\nname? "));
    await vi.waitFor(() => expect(chunks.map((chunk) => chunk.text).join("")).toMatch(/o first\n\d+ O name\? \n/));
    log.write("stdout", Buffer.from("second\n"));
    await vi.waitFor(() => expect(chunks.at(-1)?.text).toMatch(/o second\n/));
    expect(await log.close()).toMatchObject({ lines: 3 });
  });

  it("stores chunks one after the other, each starting where the one before ended", async () => {
    const { log, chunks } = openLog();
    const line = `${"x".repeat(99)}\n`;
    for (let n = 0; n < 60; n++) await log.write("stdout", Buffer.from(line.repeat(1000)));
    const summary = await log.close();
    let lines = 0;
    let bytes = 0;
    chunks.forEach((chunk, index) => {
      const name = parseLogChunkName(chunk.name);
      const textBytes = chunk.text.length - chunk.text.split("\n").slice(1).length * "1700000000000 o ".length;
      expect(name).toMatchObject({ sequence: index, firstLine: lines, firstByte: bytes, bytes: textBytes });
      lines += name?.lines ?? 0;
      bytes += name?.bytes ?? 0;
    });
    expect(summary).toMatchObject({ lines: 60_000, chunks: chunks.length });
    expect({ lines, bytes }).toEqual({ lines: summary.lines, bytes: summary.bytes });
    const stored = chunks.flatMap((chunk) => chunk.text.trimEnd().split("\n"));
    expect(stored.every((text) => text.endsWith(` o ${"x".repeat(99)}`))).toBe(true);
  });

  it("repeats many small chunks in one, behind which nothing is missing or double", async () => {
    const { log, chunks } = openLog({ flushMs: () => 0 });
    for (let line = 0; line < 42; line++) {
      log.write("stdout", Buffer.from(`${line}\n`));
      await vi.waitFor(() => expect(chunks.some(({ text }) => text.endsWith(` ${line}\n`))).toBe(true), {
        interval: 1,
      });
    }
    expect(await log.close()).toMatchObject({ chunks: 42, lines: 42, bytes: 116 });
    const names = chunks.map(({ name }) => parseLogChunkName(name));
    const joined = chunks.filter((_, index) => names[index]?.sequence !== names[index]?.lastSequence);
    const small = chunks.filter((chunk) => !joined.includes(chunk));
    expect(joined.map(({ text }) => text).join("")).toBe(small.map(({ text }) => text).join(""));
    expect(joined.map(({ name }) => parseLogChunkName(name))).toMatchObject([
      { sequence: 0, lastSequence: 31, firstLine: 0, lines: 32, firstByte: 0, bytes: 86 },
      { sequence: 32, lastSequence: 41, firstLine: 32, lines: 10, firstByte: 86, bytes: 30 },
    ]);
  });

  it("makes the step wait while the bucket takes nothing, and lets it go on afterwards", async () => {
    const bucket = gate();
    const maxBufferedBytes = 6 * 1024 * 1024;
    const { log } = openLog({ putChunk: () => bucket.opened, maxBufferedBytes });
    let written = 0;
    const writer = (async () => {
      for (; written < 200; written++) await log.write("stdout", Buffer.alloc(100_000, "y\n"));
    })();
    await vi.waitFor(() => expect(written).toBeGreaterThan(1));
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    // What is compressed already, of two chunks, takes next to no memory here.
    expect(written * 100_000).toBeLessThan(3 * maxBufferedBytes);
    bucket.open();
    await writer;
    expect((await log.close()).lines).toBe(200 * 50_000);
  });

  it("tries a chunk again and loses nothing", async () => {
    let failures = 2;
    const texts: string[] = [];
    const { log, faults } = openLog({
      putChunk: async (_name, content) => {
        if (failures-- > 0) throw new Error("503");
        texts.push(await describeLines(content));
      },
    });
    log.write("stdout", Buffer.from("kept\n"));
    expect(await log.close()).toMatchObject({ chunks: 1, lines: 1 });
    expect(texts).toHaveLength(1);
    expect(faults).toEqual([]);
  });

  it("reports a chunk that cannot be stored, and blocks nobody afterwards", async () => {
    const { log, faults } = openLog({
      flushMs: () => 1,
      uploadDeadlineMs: 50,
      putChunk: () => Promise.reject(new Error("access denied")),
    });
    log.write("stdout", Buffer.from("lost\n"));
    await vi.waitFor(() => expect(faults.map((fault) => fault.message)).toEqual(["access denied"]));
    expect(log.write("stdout", Buffer.alloc(20_000_000, "z"))).toBeUndefined();
    await expect(log.close()).rejects.toThrow("access denied");
  });

  it("ends at once when the log is given up", async () => {
    const { log, faults, stop } = openLog({
      putChunk: (_name, _content, signal) =>
        new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    log.write("stdout", Buffer.from("unread\n"));
    const closing = log.close();
    stop.abort(new Error("lease lost"));
    await expect(closing).rejects.toThrow("lease lost");
    expect(faults).toEqual([]);
  });
});
