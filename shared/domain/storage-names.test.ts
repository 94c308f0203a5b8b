import { describe, expect, it } from "vitest";
import {
  artifactKey,
  artifactListKey,
  attemptPrefix,
  formatLogChunkName,
  imageBlobKey,
  manifestKey,
  parseLogChunkName,
  stepLogPrefix,
  taskListKey,
} from "./object-keys.ts";

describe("keys of objects", () => {
  it("hold job, task and attempt, so that no two attempts share one", () => {
    const artifact = [artifactKey("j", "t", 2), artifactListKey("j", "t", 2)];
    for (const key of [manifestKey("j", "t", 2), ...artifact, stepLogPrefix("j", "t", 2, 3)]) {
      expect(key.startsWith(attemptPrefix("j", "t", 2))).toBe(true);
    }
    expect(attemptPrefix("j", "t", 2)).toBe("jobs/j/t/0002/");
    expect(attemptPrefix("j", "t", 1).startsWith(attemptPrefix("j", "t", 11))).toBe(false);
    expect(stepLogPrefix("j", "t", 2, 3)).toBe("jobs/j/t/0002/logs/step-003/");
  });

  it("of a job's task list cannot be one of a task: no task is called so", () => {
    expect(taskListKey("j")).toBe("jobs/j/tasks.json");
    expect(imageBlobKey("sha256:abc", "n1")).toBe("images/sha256-abc/n1.zst");
  });
});

describe("names of log chunks", () => {
  it("are read back as they were written, and sort in the order of the log", () => {
    const chunk = (sequence: number, count = 1) => ({
      sequence,
      lastSequence: sequence + count - 1,
      firstLine: sequence * 7,
      lines: count * 7,
      firstByte: sequence * 100,
      bytes: count * 100,
      firstAtMs: 1_800_000_000_000 + sequence,
    });
    const chunks = [chunk(0, 32), ...[0, 1, 2, 9, 10, 11].map((at) => chunk(at)), chunk(32, 8), chunk(99_999)];
    const names = chunks.map(formatLogChunkName);
    expect(names.map(parseLogChunkName)).toEqual(chunks);
    expect(names.toSorted()).toEqual(names);
  });

  it.each([
    "",
    "result.json",
    "00000001.1.1.1.1.zst",
    "1.1.1.1.1.1.zst",
    "00000001+2.1.1.1.1.1.zst",
    "00000001.1.1.1.1.1.gz",
    "00000001.1.-1.1.1.1.zst",
  ])("are not %j", (name) => expect(parseLogChunkName(name)).toBeUndefined());
});
