import { describe, expect, it } from "vitest";
import type { EventPage, Job } from "../../shared/api/schemas.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";

const plane = useControlPlane();

describe("a job", () => {
  it("goes from submit to completed, with exact counts and gapless events", async () => {
    const jobId = await plane().submit(noopJob(taskNames(3)));
    const worker = plane().createWorker();
    await worker.register();
    expect(await worker.runAll()).toBe(3);
    await plane().foldAll();
    const job = await plane().call<Job>(`/v1/jobs/${jobId}`);
    expect(job).toMatchObject({ status: "completed", total: 3, counts: { completed: 3, queued: 0, running: 0 } });
    const { events } = await plane().call<EventPage>(`/v1/jobs/${jobId}/events`);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index + 1));
    expect(events.at(-1)).toMatchObject({ type: "job.ended", state: "completed" });
  });
});
