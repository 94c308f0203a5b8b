import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import type { LogPage } from "../../shared/api/log-schemas.ts";
import type { EventPage, Problem, TaskPage } from "../../shared/api/schemas.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { createShipper } from "../support/control-plane-logs.ts";
import { completed } from "../support/control-plane-worker.ts";

const limits = {
  tasksPerJob: 5,
  jobsInFlight: 3,
  taskPage: 2,
  eventPage: 3,
  eventPageBytes: 1024,
  logPageLines: 4,
  logPageBytes: 1024,
  followSeconds: 1,
};
const plane = useControlPlane({ pools: ["default", "large"], limits });

async function refuse(path: string, call: Parameters<ReturnType<typeof plane>["request"]>[1] = {}) {
  const response = await plane().request(path, call);
  const { status, code, detail } = (await response.json()) as Problem;
  expect(response.status).toBe(status);
  return { status, code, detail, retryAfter: response.headers.get("retry-after") };
}

const submit = (spec: object, key?: string) =>
  refuse("/v1/jobs", { body: { spec }, headers: key === undefined ? {} : { "idempotency-key": key } });

describe("the limit of", () => {
  it("tasks per job: a job with more is refused with their number and what to do", async () => {
    expect(await submit(noopJob(taskNames(6)))).toMatchObject({
      status: 400,
      code: "too_many_tasks",
      detail: "the job has 6 tasks; a job has at most 5 here; split it into several",
    });
    await plane().submit(noopJob(taskNames(5)));
  });

  it("jobs in flight: one more is to be tried again later, in its pool only, until one has ended", async () => {
    const jobs: string[] = [];
    for (let job = 0; job < 3; job++) jobs.push(await plane().submit(noopJob(["a"]), { "idempotency-key": `${job}` }));
    expect(await submit(noopJob(["a"]))).toMatchObject({
      status: 429,
      code: "too_many_jobs",
      retryAfter: "10",
      detail: expect.stringContaining("pool default has 3 jobs that have not ended"),
    });
    await plane().submit(noopJob(["a"], { pool: "large" }));
    // A submit whose answer got lost is answered with its job, however many there are.
    expect(await plane().submit(noopJob(["a"]), { "idempotency-key": "1" })).toBe(jobs[1]);
    const worker = plane().createWorker();
    await worker.report(await worker.claimOne(), completed());
    await plane().foldAll();
    await plane().submit(noopJob(["a"]));
    expect((await submit(noopJob(["a"]))).code).toBe("too_many_jobs");
  });

  it("a page of tasks: all are listed, a few at a time", async () => {
    const jobId = await plane().submit(noopJob(taskNames(5)));
    const page = await plane().call<TaskPage>(`/v1/jobs/${jobId}/tasks?limit=1000`);
    expect({ tasks: page.tasks.length, more: page.cursor !== undefined }).toEqual({ tasks: 2, more: true });
    expect(await refuse(`/v1/jobs/${jobId}/tasks?limit=1001`)).toMatchObject({
      status: 400,
      detail: 'limit: must be at most 1000, not "1001"',
    });
  });

  it("a page of events, in number and in bytes", async () => {
    const jobId = await plane().submit(noopJob(taskNames(5)));
    await plane().createWorker().runAll();
    await plane().foldAll();
    const events: JobEvent[] = [];
    for (;;) {
      const path = `/v1/jobs/${jobId}/events?limit=1000&after=${events.length}`;
      const page = await plane().call<EventPage>(path);
      expect(page.events.length).toBeLessThanOrEqual(3);
      if (page.events.length > 1) expect(JSON.stringify(page.events).length).toBeLessThan(1024 + 10);
      if (page.events.length === 0) break;
      events.push(...page.events);
    }
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)?.type).toBe("job.ended");
  });

  it("a page of a log, in lines and in bytes", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    const texts = [...Array.from({ length: 6 }, (_, index) => `line-${index}`), "x".repeat(600), "y".repeat(600)];
    await createShipper(plane(), claimed).ship(1, texts);
    const path = `/v1/jobs/${jobId}/tasks/a/logs`;
    const pages: number[] = [];
    for (let cursor = ""; ; ) {
      const page = await plane().call<LogPage>(`${path}?limit=5000${cursor && `&cursor=${cursor}`}`);
      if (page.lines.length === 0) break;
      pages.push(page.lines.length);
      cursor = page.cursor;
    }
    expect(pages).toEqual([4, 3, 1]);
    expect((await plane().call<LogPage>(`${path}?tail=4`)).lines).toHaveLength(1);
    expect((await refuse(`${path}?tail=5`)).detail).toBe("tail is 5; at most 4 lines are read at once");
  });

  it("the time of a follower: the stream is cut without an end, for its client to resume", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const response = await plane().request(`/v1/jobs/${jobId}/events`, { headers: { accept: "text/event-stream" } });
    const text = await response.text();
    expect(text).toContain("event: job.submitted");
    expect(text).not.toContain("event: end");
  });
});

describe("a place that is not there", () => {
  it("in a job's events is refused, in a page and in a stream", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const path = `/v1/jobs/${jobId}/events`;
    expect(await refuse(`${path}?after=2`)).toMatchObject({
      status: 400,
      code: "invalid_request",
      detail: `after is 2, but job ${jobId} has had 1 events so far; leave it out to see all`,
    });
    const headers = { accept: "text/event-stream", "last-event-id": "7" };
    expect((await refuse(path, { headers })).detail).toContain("Last-Event-ID is 7");
    expect((await plane().call<EventPage>(`${path}?after=1`)).events).toEqual([]);
  });

  it("in a task's log is refused: a step that the job does not have, an attempt that was not", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const path = `/v1/jobs/${jobId}/tasks/a/logs`;
    expect(await refuse(`${path}?step=9`)).toMatchObject({
      status: 404,
      code: "not_found",
      detail: "task a has no step 9; it has one step",
    });
    expect((await plane().call<LogPage>(`${path}?step=1`)).lines).toEqual([]);
    expect(await refuse(`${path}?cursor=2.1.0.0`)).toMatchObject({ status: 400, code: "invalid_cursor" });
  });
});
