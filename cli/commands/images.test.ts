import { describe, expect, it } from "vitest";
import type { ImagePrune, ImagePruneRequest } from "../../shared/api/image-schemas.ts";
import type { Context } from "../context.ts";
import { createOutput } from "../terminal/output.ts";
import { listImages, pruneImages } from "./images.ts";

const nowMs = Date.UTC(2026, 0, 5);
const blob = { digest: `sha256:${"a".repeat(64)}`, bytes: 1_500_000, usedAt: "2026-01-03T00:00:00.000Z" };
const total = { blobs: 3, bytes: 9_000 };

function createSetting(options: { json?: boolean; blobs?: (typeof blob)[]; answers?: Partial<ImagePrune>[] } = {}) {
  const { json = false, blobs = [], answers = [] } = options;
  const written: string[] = [];
  const notes: string[] = [];
  const wishes: ImagePruneRequest[] = [];
  const out = createOutput({ write: (text) => written.push(text), on: () => undefined }, false);
  const api = {
    eachImageBlob: async function* () {
      yield* blobs;
    },
    pruneImages: async (wish: ImagePruneRequest) => {
      wishes.push(wish);
      const removed = { blobs: 1, bytes: 3_000 };
      return { applied: wish.apply === true, total, removed, more: false, ...answers.shift() };
    },
  };
  const context = {
    out,
    json,
    runtime: { now: () => nowMs, onInterrupt: () => () => undefined },
    api: () => api,
    note: (text: string) => notes.push(text),
    hint: (command: string) => `sluice ${command}`,
    writeJson: (value: unknown) => written.push(JSON.stringify(value)),
  };
  return { context: context as unknown as Context, read: () => written.join(""), notes, wishes };
}

describe("sluice images ls", () => {
  it("lists blobs with size and last use; what is being uploaded has no size yet", async () => {
    const { context, read, notes } = createSetting({ blobs: [blob, { ...blob, bytes: 0 }] });
    expect(await listImages(context)).toBe(0);
    expect(read().split("\n").slice(1, 3)).toEqual([
      expect.stringMatching(/^sha256:a{64} +1\.5 MB +2 d ago$/),
      expect.stringMatching(/^sha256:a{64} +uploading +2 d ago$/),
    ]);
    expect(notes).toEqual(["2 blobs, 1.5 MB"]);
  });

  it("prints one document with --json", async () => {
    const { context, read } = createSetting({ json: true, blobs: [blob] });
    await listImages(context);
    expect(JSON.parse(read())).toEqual({ blobs: [blob] });
  });
});

describe("sluice images prune", () => {
  it("only says what would be removed, and how to do it", async () => {
    const { context, read, notes, wishes } = createSetting();
    expect(await pruneImages(context, { unusedDays: 9, maxSize: "1k" })).toBe(0);
    expect(wishes).toEqual([{ apply: false, unusedDays: 9, maxBytes: 1_024 }]);
    expect(read()).toBe("would remove 1 blob (3.0 kB) of 3 blobs (9.0 kB)\n");
    expect(notes[0]).toContain("sluice images prune --apply");
  });

  it("goes on with --apply until nothing is left to do", async () => {
    const { context, read, wishes } = createSetting({ answers: [{ more: true }, { more: true }] });
    await pruneImages(context, { apply: true });
    expect(wishes).toHaveLength(3);
    expect(read()).toBe("removed 3 blobs (9.0 kB) of 3 blobs (9.0 kB)\n");
  });

  it("refuses a size that is none", async () => {
    await expect(pruneImages(createSetting().context, { maxSize: "much" })).rejects.toThrow("--max-size takes a size");
  });
});
