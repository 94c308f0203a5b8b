import { describe, expect, it } from "vitest";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import { type ApiClient, ApiError, ConnectionError } from "../../shared/api-client/index.ts";
import { type FollowAttemptOptions, followAttempt } from "./follow-attempt.ts";

const line = (number: number): ApiLogLine => ({ line: number, step: 1, at: "", stream: "stdout", text: `${number}` });

/** Follows a log of which the stream tells the first line, and then ends when `until` does. */
async function follow(until: Promise<unknown>, isOver: FollowAttemptOptions["isOver"]): Promise<number[]> {
  const seen: number[] = [];
  const api: Partial<ApiClient> = {
    followLog: async function* (_job, _task, _query, { signal } = {}) {
      yield { line: line(0), cursor: "1.1.1.0" };
      const aborted = new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
      await Promise.race([until, aborted]);
    },
    readLog: async (_job, _task, query) => {
      const lines = query?.cursor === "1.1.1.0" ? [line(1)] : [line(2)];
      return { attempt: 1, lines, cursor: "1.1.2.0", complete: query?.cursor !== "1.1.1.0" };
    },
  };
  await followAttempt(api as ApiClient, {
    job: "j",
    task: "t",
    attempt: 1,
    signal: new AbortController().signal,
    isOver,
    onLine: ({ line }) => seen.push(line),
    checkMs: 1,
  });
  return seen;
}

describe("a followed log", () => {
  it("is not given up where the control plane does not answer for a while: its stream decides", async () => {
    const asked = Promise.withResolvers<void>();
    let times = 0;
    const isOver = () => {
      if (++times === 3) asked.resolve();
      throw times % 2 === 0
        ? new ConnectionError("refused", "http://x", "nobody listens")
        : new ApiError({ status: 503, code: "unavailable", detail: "later" });
    };
    expect(await follow(asked.promise, isOver)).toEqual([0]);
  });

  it("ends with a last look where its end is never told", async () => {
    expect(await follow(new Promise(() => undefined), () => true)).toEqual([0, 1, 2]);
  });

  it("ends with what keeps it from being read", async () => {
    const refused = new ApiError({ status: 403, code: "forbidden", detail: "not allowed" });
    await expect(follow(new Promise(() => undefined), () => Promise.reject(refused))).rejects.toBe(refused);
  });
});
