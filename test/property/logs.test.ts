import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLogContents } from "../../functions/log-contents.ts";
import { type LogPosition, logStart } from "../../functions/operations/log-position.ts";
import { createLogReader, lineText } from "../../functions/operations/read-logs.ts";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { defaultLimits } from "../../shared/domain/limits.ts";
import { eachLogLine, sliceLog } from "../../shared/domain/log-line.ts";
import { stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { StepLog } from "../../workers/logs/step-log.ts";
import { asyncPropertyRun } from "../support/property-run.ts";

const stepOne = { attempt: 1, step: 1 };

/** A bucket in memory that lists few names a page and counts what it is asked. */
function openBucket(namesPerPage: number) {
  const stored = new Map<string, Uint8Array>();
  const asked = { lists: 0, reads: 0 };
  const bucket: Pick<ObjectStore, "get" | "list" | "listFolders"> = {
    get: async (key) => {
      asked.reads++;
      return stored.get(key);
    },
    list: async (prefix, { startAfter = "" } = {}) => {
      asked.lists++;
      const keys = [...stored.keys()].filter((key) => key.startsWith(prefix) && key > startAfter).sort();
      const objects = keys.slice(0, namesPerPage).map((key) => ({ key, size: 0 }));
      return { objects, more: keys.length > namesPerPage };
    },
    listFolders: async (prefix) =>
      [...new Set([...stored.keys()].map((key) => key.slice(prefix.length).split("/")[0] ?? ""))].sort(),
  };
  return { stored, asked, bucket: bucket as ObjectStore };
}

type Write = { step: number; stream: "stdout" | "stderr"; text: string; waitMs: number; flush: boolean };

/** Writes as steps do, one after the other. */
async function writeLogs(stored: Map<string, Uint8Array>, writes: readonly Write[]): Promise<void> {
  let nowMs = 1_800_000_000_000;
  for (const step of [1, 2]) {
    const log = new StepLog({
      owner: { step, name: "s" },
      putChunk: async (name, content) => void stored.set(stepLogPrefix("j", "t", 1, step) + name, content),
      flushMs: () => 0,
      uploadDeadlineMs: 1_000,
      nowMs: () => nowMs,
      signal: new AbortController().signal,
      onFault: (error) => {
        throw error;
      },
    });
    for (const { stream, text, waitMs, flush } of writes.filter((write) => write.step === step)) {
      log.write(stream, Buffer.from(text));
      nowMs += waitMs;
      // Whatever is flushed by then: chunks are cut where they happen to be.
      if (flush) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await log.close();
  }
}

const writes = fc.array(
  fc.record({
    step: fc.constantFrom(1, 1, 1, 2),
    stream: fc.constantFrom("stdout" as const, "stderr" as const),
    text: fc.oneof(fc.constant("line\n"), fc.constant("a\nb\n\n"), fc.constant("ünï"), fc.string({ unit: "binary" })),
    waitMs: fc.integer({ min: 0, max: 3 }),
    flush: fc.boolean(),
  }),
  { minLength: 1, maxLength: 90 },
);

describe("what is read of a log", () => {
  it("is the same whichever window it is read through, however the log was cut into chunks", async () => {
    await asyncPropertyRun(
      fc.asyncProperty(writes, fc.integer({ min: 1, max: 12 }), fc.nat(), async (written, namesPerPage, seed) => {
        const { stored, bucket } = openBucket(namesPerPage);
        await writeLogs(stored, written);
        const logContents = createLogContents(bucket);
        const limits = { ...defaultLimits, logPageBytes: 1 + (seed % 500) };
        const all = createLogReader({ objects: bucket, logContents, limits }, { jobId: "j", task: "t" });
        const one = createLogReader(
          { objects: bucket, logContents, limits: defaultLimits },
          { jobId: "j", task: "t", step: 1 },
        );
        const readAll = async (reader: typeof all, from: LogPosition, limit: number) => {
          const lines: ApiLogLine[] = [];
          for (let position = from, exhausted = false; !exhausted; ) {
            const page = await reader.readPage(position, limit);
            lines.push(...page.entries.map(({ line }) => line));
            ({ next: position, exhausted } = page);
          }
          return lines;
        };
        const lines = await readAll(all, logStart(1, {}), 1 + (seed % 9));
        expect(new Set(lines.map(({ step, line }) => `${step}.${line}`)).size).toBe(lines.length);
        const own = lines.filter(({ step }) => step === 1);
        expect(own.map(({ line }) => line)).toEqual([...own.keys()]);
        const text = Buffer.from(own.map(lineText).join(""));
        expect(await one.measure(stepOne)).toEqual({ lines: own.length, bytes: text.length });

        const pieces = async (from: LogPosition) => {
          const texts: string[] = [];
          for (let position = from, more = true; more; ) {
            const page = await all.listChunks(position, 1 + (seed % 3));
            for (const { chunk, skip } of page.chunks) {
              const content = sliceLog(await logContents.get(chunk), skip, chunk.lines);
              texts.push(...[...eachLogLine(content)].map(lineText));
              expect(content.text.toString()).toBe(texts.slice(skip - chunk.lines).join(""));
            }
            ({ next: position, more } = page);
          }
          return texts;
        };
        expect(await pieces(logStart(1, {}))).toEqual(lines.map(lineText));

        const line = own.length === 0 ? 0 : seed % own.length;
        expect(await readAll(one, await one.findLine(stepOne, line), 7)).toEqual(own.slice(line));
        const rest = await Array.fromAsync(one.readText(await one.findLine(stepOne, line), line + 3));
        expect(Buffer.concat(rest).toString()).toBe(
          own
            .slice(line, line + 4)
            .map(lineText)
            .join(""),
        );
        const { entries } = await one.readTail(1, line);
        expect(entries.map((entry) => entry.line)).toEqual(line === 0 ? [] : own.slice(-line));
        const [start, end] = [seed % (text.length + 1), text.length - (seed % 3)];
        const bytes = await Array.fromAsync(one.readBytes(stepOne, start, end));
        expect(Buffer.concat(bytes)).toEqual(text.subarray(start, Math.max(start, end)));
        const at = Date.parse(lines[seed % Math.max(1, lines.length)]?.at ?? "2030-01-01");
        const later = lines.findIndex((candidate) => Date.parse(candidate.at) >= at);
        expect(await readAll(all, await all.findTime(1, at), 5)).toEqual(later < 0 ? [] : lines.slice(later));
      }),
      { numRuns: 60 },
    );
  });
});
