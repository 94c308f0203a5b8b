import { afterEach, describe, expect, it } from "vitest";
import type { ApiLogLine } from "../../shared/api/log-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import { type ApiClient, ApiError, type LogQuery } from "../../shared/api-client/index.ts";
import { eventually } from "../../test/support/eventually.ts";
import { LogFeed } from "./log-feed.ts";

const line = (number: number, step: number): ApiLogLine => ({
  ...{ line: number, step, at: "2026-01-01T00:00:00.000Z", stream: "stdout", text: `${step}.${number}` },
});

/** A task of two steps with three lines each in its first attempt, and one line in each later one. */
function openFeed(attempt = 1) {
  const task: Pick<Task, "status" | "attempt" | "attempts"> = { status: "failed", attempt, attempts: [] };
  const asked: LogQuery[] = [];
  let refusal: Error | undefined;
  const api: Partial<ApiClient> = {
    getTask: async (job, name) => {
      if (refusal) throw refusal;
      return { ...task, job, task: name, slots: 1, createdAt: "" } as Task;
    },
    followLog: async function* (_job, _task, query = {}) {
      asked.push(query);
      yield { line: query.attempt === 1 ? line(2, 2) : line(0, 1), cursor: "x" };
    },
    readLog: async (_job, _task, query = {}) => {
      asked.push(query);
      // Of the attempt before, without its second step, which wrote nothing.
      if (query.attempt === 1 && task.attempt === 2) {
        return { attempt: 1, lines: [line(7, 1), line(0, 3)], cursor: "y", complete: true };
      }
      const lines = query.lines === "0-1" ? [line(0, 2), line(1, 2)] : [0, 1, 2].map((number) => line(number, 1));
      return { attempt: 1, lines, cursor: "y", complete: true };
    },
  };
  const feed = new LogFeed({
    ...{ api: api as ApiClient, job: "j", task: "t", now: Date.now },
    onChange: () => undefined,
  });
  return {
    ...{ feed, task, asked },
    refuse: (error: Error) => {
      refusal = error;
    },
  };
}

const show = (feed: LogFeed) =>
  feed.buffer.rows(0, 99).map((row) => (row.kind === "line" ? row.line.text : `${row.attempt}/${row.step}`));

let open: ReturnType<typeof openFeed>;
afterEach(() => open.feed.close());

describe("the log of a task", () => {
  it("is read from near its end, and before that only when somebody looks, step by step", async () => {
    open = openFeed();
    const { feed, asked } = open;
    await eventually(() => feed.state === "ended", "its end");
    expect([show(feed), asked.splice(0)]).toEqual([["1/2", "2.2"], [expect.objectContaining({ tail: 2_000 })]]);
    feed.readEarlier();
    await eventually(() => feed.buffer.length === 4, "the lines before");
    feed.readEarlier();
    feed.readEarlier();
    await eventually(() => feed.buffer.length === 8, "the step before");
    expect(show(feed)).toEqual(["1/1", "1.0", "1.1", "1.2", "1/2", "2.0", "2.1", "2.2"]);
    feed.readEarlier();
    expect(asked).toEqual([
      { attempt: 1, step: 2, lines: "0-1", cursor: undefined },
      { attempt: 1, step: 1, tail: 1_000 },
    ]);
  });

  it("goes on with the next attempt, at once where somebody has it run again", async () => {
    open = openFeed();
    const { feed, task } = open;
    await eventually(() => feed.state === "ended", "its end");
    Object.assign(task, { attempt: 2 });
    feed.lookAgain();
    await eventually(() => feed.buffer.length === 4, "the second attempt");
    expect(show(feed)).toEqual(["1/2", "2.2", "2/1", "1.0"]);
  });

  it("goes back to the attempts before", async () => {
    open = openFeed(2);
    const { feed } = open;
    await eventually(() => feed.state === "ended", "its end");
    feed.readEarlier();
    await eventually(() => feed.buffer.length === 6, "the attempt before");
    expect(show(feed)).toEqual(["1/1", "1.7", "1/3", "3.0", "2/1", "1.0"]);
  });

  it("says why it cannot be read", async () => {
    open = openFeed();
    await eventually(() => open.feed.state === "ended", "its end");
    open.refuse(new ApiError({ status: 404, code: "not_found", detail: "there is no task t" }));
    open.feed.lookAgain();
    await eventually(() => open.feed.state === "failed", "the failure");
    expect(open.feed.failure).toBe("there is no task t");
  });
});
