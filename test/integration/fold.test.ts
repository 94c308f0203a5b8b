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

  it("counts a task once where it is handed several images of it", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    const older = await plane().deps.tasks.get(jobId, 0, claimed.task);
    await worker.report(claimed, completed());
    const newer = await plane().deps.tasks.get(jobId, 0, claimed.task);
    if (!older || !newer) throw new Error("the task is missing");
    await plane().deps.fold.foldTasks(jobId, [newer, older, newer]);
    expect(await readJob(jobId)).toMatchObject({ counts: { completed: 1, queued: 1, running: 0 }, lastEvent: 4 });
  });
});
