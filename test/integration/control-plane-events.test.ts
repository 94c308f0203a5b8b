import { describe, expect, it } from "vitest";
import type { EventPage } from "../../shared/api/schemas.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { readEvents } from "../support/control-plane-sse.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

const follow = async (jobId: string, headers: Record<string, string> = {}, query = "") =>
  plane().request(`/v1/jobs/${jobId}/events${query}`, { headers: { accept: "text/event-stream", ...headers } });
const seqsOf = (events: { id: string | undefined; event: string | undefined }[]) =>
  events.filter(({ event }) => event !== "end").map(({ id }) => Number(id));
const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** A job of three tasks that has ended: submitted, 3 × queued → running → completed, started, ended = 9 events. */
async function runJob(): Promise<string> {
  const jobId = await plane().submit(noopJob(taskNames(3)));
  await plane().createWorker().runAll();
  await plane().foldAll();
  return jobId;
}

describe("pages of events", () => {
  it("go on after a sequence number, each event once and in order", async () => {
    const jobId = await runJob();
    const seqs: number[] = [];
    for (let after = 0; ; ) {
      const page = await plane().call<EventPage>(`/v1/jobs/${jobId}/events?after=${after}&limit=4`);
      expect(page.events.length).toBeLessThanOrEqual(4);
      if (page.events.length === 0) break;
      seqs.push(...page.events.map((event) => event.seq));
      after = page.next;
    }
    expect(seqs).toEqual(upTo(9));
  });

  it("are empty after the last, and say where to go on", async () => {
    const jobId = await runJob();
    expect(await plane().call(`/v1/jobs/${jobId}/events?after=9`)).toEqual({ events: [], next: 9 });
  });

  it.each(["after=-1", "after=x", "limit=0", "limit=1001"])("refuse %s", async (query) => {
    const jobId = await plane().submit(noopJob(["a"]));
    const response = await plane().request(`/v1/jobs/${jobId}/events?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "invalid_request" });
  });
});

describe("the stream of a job's events", () => {
  it("tells all of an ended job and ends", async () => {
    const jobId = await runJob();
    const events = await readEvents(await follow(jobId)).readAll();
    expect(seqsOf(events)).toEqual(upTo(9));
    expect(events.at(-1)).toMatchObject({ event: "end" });
    expect(events.at(-2)).toMatchObject({ event: "job.ended" });
  });

  it("resumes after Last-Event-ID, which counts for more than `after`", async () => {
    const jobId = await runJob();
    expect(seqsOf(await readEvents(await follow(jobId, { "last-event-id": "6" }, "?after=2")).readAll())).toEqual(
      upTo(9, 7),
    );
    expect(seqsOf(await readEvents(await follow(jobId, {}, "?after=2")).readAll())).toEqual(upTo(9, 3));
    expect(seqsOf(await readEvents(await follow(jobId, { "last-event-id": "" })).readAll())).toEqual(upTo(9));
  });

  it("ends at once where everything was told before", async () => {
    const jobId = await runJob();
    const events = await readEvents(await follow(jobId, { "last-event-id": "9" })).readAll();
    expect(events).toMatchObject([{ event: "end" }]);
  });

  it.each(["-5", "1e400", "NaN", "7.5", "zz", "1 OR 1", "10", "999999999999"])(
    "refuses the Last-Event-ID %j that it never sent",
    async (id) => {
      const jobId = await runJob();
      const response = await follow(jobId, { "last-event-id": id });
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: "invalid_request" });
    },
  );

  it("tells what happens while somebody watches, and ends with the job", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const reader = readEvents(await follow(jobId));
    expect(await reader.next()).toMatchObject({ event: "job.submitted", id: "1" });
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    await plane().foldAll();
    expect(await reader.next()).toMatchObject({ event: "task.transition", id: "2" });
    expect(await reader.next()).toMatchObject({ event: "job.started", id: "3" });
    await worker.report(claimed, completed());
    await plane().foldAll();
    expect((await reader.readAll()).map(({ event }) => event)).toEqual(["task.transition", "job.ended", "end"]);
  });

  it("is cut without an `end` where the table fails under it, so that its client comes back", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const reader = readEvents(await follow(jobId));
    await reader.next();
    plane().requests.intercept(() => Promise.reject(new Error("the table is away")));
    expect(await reader.readAll()).toEqual([]);
    expect(plane().logLines.at(-1)).toMatchObject({ level: "error", err: { message: "the table is away" } });
  });

  it("is not found for a job that does not exist", async () => {
    const response = await follow("none-01ke6jq300q6vvx49qnd6cvxan");
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ code: "not_found" });
  });
});
