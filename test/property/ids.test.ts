import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatAttemptId,
  jobIdPattern,
  jobUlid,
  newJobId,
  newWorkerId,
  parseAttemptId,
  taskBucket,
  taskBucketCount,
  workerIdPattern,
} from "../../shared/domain/ids.ts";
import { jobRules } from "../../shared/jobfile/rules.ts";
import { propertyRun } from "../support/property-run.ts";

const named = ({ pattern, maxLength }: { pattern: RegExp; maxLength: number }) =>
  fc.stringMatching(pattern).filter((name) => name.length <= maxLength);
const jobName = named(jobRules.jobName);
const taskName = named(jobRules.taskName);
const timeMs = fc.integer({ min: Date.UTC(2020), max: Date.UTC(2100) });

describe("job ids", () => {
  it("are made of any job name, match their pattern and tell their time", () => {
    propertyRun(
      fc.property(jobName, timeMs, (name, nowMs) => {
        const jobId = newJobId(name, nowMs);
        expect(jobId).toMatch(jobIdPattern);
        expect(jobId.startsWith(`${name}-`)).toBe(true);
        expect(jobUlid(jobId)).toHaveLength(26);
        expect(jobId.length).toBeLessThanOrEqual(128);
      }),
    );
  });

  it("sort by creation, whatever the names", () => {
    propertyRun(
      fc.property(jobName, jobName, timeMs, fc.integer({ min: 1, max: 1e9 }), (one, other, nowMs, laterMs) => {
        expect(jobUlid(newJobId(one, nowMs)) < jobUlid(newJobId(other, nowMs + laterMs))).toBe(true);
      }),
    );
  });

  it("do not collide within a millisecond", () => {
    const jobIds = new Set(Array.from({ length: 4000 }, () => newJobId("same", 1_800_000_000_000)));
    expect(jobIds.size).toBe(4000);
  });

  it("of workers match their pattern", () => {
    propertyRun(
      fc.property(timeMs, (nowMs) => {
        expect(newWorkerId(nowMs)).toMatch(workerIdPattern);
      }),
    );
  });
});

describe("attempt ids", () => {
  const key = fc.record({
    jobId: fc.tuple(jobName, timeMs).map(([name, nowMs]) => newJobId(name, nowMs)),
    bucket: fc.nat(9999),
    task: taskName,
    attempt: fc.integer({ min: 1, max: 999_999 }),
  });

  it("are read back as they were written, and fit into a URL as they are", () => {
    propertyRun(
      fc.property(key, (parts) => {
        const attemptId = formatAttemptId(parts);
        expect(parseAttemptId(attemptId)).toEqual(parts);
        expect(encodeURIComponent(attemptId)).toBe(attemptId);
        expect(attemptId.length).toBeLessThanOrEqual(300);
      }),
    );
  });

  it("are different for different attempts", () => {
    propertyRun(
      fc.property(key, key, (one, other) => {
        const same = JSON.stringify(one) === JSON.stringify(other);
        expect(formatAttemptId(one) === formatAttemptId(other)).toBe(same);
      }),
    );
  });

  it("of other texts are none, and never throw", () => {
    const other = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom("a", "-", "_", ".", "7", "A", "/", "#", "\n") }),
      key.map((parts) => `${formatAttemptId(parts)}.`),
    );
    propertyRun(
      fc.property(other, (text) => {
        const parsed = parseAttemptId(text);
        if (parsed) expect(text).toMatch(/^[a-z0-9_-]+\.\d+\.[a-z0-9_-]+\.\d+$/);
        if (text.endsWith(".")) expect(parsed).toBeUndefined();
      }),
    );
  });
});

describe("the partitions of a job's tasks", () => {
  it("are within the number of them, and the same for everybody who asks", () => {
    propertyRun(
      fc.property(taskName, fc.integer({ min: 1, max: 10_000 }), (task, total) => {
        const count = taskBucketCount(total);
        const bucket = taskBucket(task, count);
        expect(Number.isInteger(bucket) && bucket >= 0 && bucket < count).toBe(true);
        expect(taskBucket(task, count)).toBe(bucket);
      }),
    );
  });

  it("are about equally full, for numbered names and for random ones", () => {
    for (const total of [1000, 5000, 10_000]) {
      const count = taskBucketCount(total);
      const sizes = Array.from({ length: count }, () => 0);
      for (let index = 0; index < total; index++) {
        const bucket = taskBucket(`test-${index}`, count);
        sizes[bucket] = (sizes[bucket] ?? 0) + 1;
      }
      expect(Math.max(...sizes)).toBeLessThan((1.5 * total) / count);
      expect(Math.min(...sizes)).toBeGreaterThan((0.5 * total) / count);
    }
  });
});
