import { describe, expect, it } from "vitest";
import type { EventPage, Job } from "../../shared/api/schemas.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);
const readEvents = async (jobId: string) =>
  (await plane().call<EventPage>(`/v1/jobs/${jobId}/events?limit=1000`)).events;

describe("the fold", () => {
  it("ends the job where the clock of the writer that ended its task was behind the one that started it", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    plane().clock.advance(-5);
    await worker.report(claimed, completed());
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 1, running: 0 } });
    const types = (await readEvents(jobId)).map((event) => (event.type === "task.transition" ? event.to : event.type));
    expect(types).toEqual(["job.submitted", "running", "job.started", "completed", "job.ended"]);
  });
});
