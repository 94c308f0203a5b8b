import { describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import type { EventPage, Job } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { jobRules } from "../../shared/jobfile/rules.ts";
import { taskKey } from "../../shared/repository/keys.ts";
import { maxTransactionBytes, updateItem } from "../../shared/repository/table.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed, failedWith } from "../support/control-plane-worker.ts";
import { readJobRecords } from "../support/job-audit.ts";

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

  it("reads the digest once, though images that are out of date come in between", async () => {
    const jobId = await plane().submit(noopJob(taskNames(3)));
    const worker = plane().createWorker();
    const process = plane().startProcess();
    const readImage = async (task: string) => (await plane().deps.tasks.get(jobId, 0, task)) ?? [];
    const claims = [await worker.claimOne(), await worker.claimOne(), await worker.claimOne()];
    await process.fold.foldTasks(jobId, [await readImage(claims[0]?.task ?? "")].flat());
    const outOfDate = [await readImage(claims[1]?.task ?? "")].flat();
    for (const claim of claims) await worker.report(claim, completed());
    await process.fold.foldTasks(jobId, outOfDate);
    const newest = (await Promise.all(claims.map((claim) => readImage(claim.task)))).flat();
    plane().requests.reset();
    await process.fold.foldTasks(jobId, newest);
    expect(plane().requests.counts()).toEqual({ "dynamodb.TransactWriteItems": 1 });
    expect(await readJob(jobId)).toMatchObject({ status: "completed", counts: { completed: 3 } });
  });

  it("brings a job back that had ended when one of its tasks is revived, and ends it again", async () => {
    const jobId = await plane().submit(noopJob(["a", "b"]));
    const worker = plane().createWorker();
    await worker.runAll(() => failedWith(1));
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed" });
    const task = (await plane().deps.tasks.get(jobId, 0, "a")) ?? fail();
    expect((await plane().deps.tasks.revive(task, plane().clock.now())).moved).toBe(true);
    expect((await plane().deps.tasks.revive(task, plane().clock.now())).moved, "a second time").toBe(false);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "running", counts: { queued: 1, failed: 1 } });
    expect((await readJobRecords(plane(), jobId)).due.map(({ sk }) => sk).sort()).toEqual(["DIGEST", "a"]);
    // Nobody sent its message: the sweep does.
    plane().clock.advance(2 * timing.announceAgainMs);
    expect(await plane().sweep()).toMatchObject({ dispatched: 1 });
    expect(await worker.runAll()).toBe(1);
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed", counts: { completed: 1, failed: 1 } });
    expect((await readJobRecords(plane(), jobId)).due).toEqual([]);
    expect(await plane().deps.tasks.get(jobId, 0, "a")).toMatchObject({ attempt: 2, outcome: { state: "completed" } });
  });

  it("counts tasks with large items in transactions of a size that DynamoDB takes", async () => {
    const envBytes = 99_000;
    const spec = noopJob(taskNames(36));
    const tasks = spec.tasks.map((task) => ({ ...task, env: { BULK: "x".repeat(envBytes) } }));
    const jobId = await plane().submit({ ...spec, tasks });
    await plane().foldAll();
    for (const { name } of tasks) await pretendMoves(jobId, name, 2);
    const images = (await plane().deps.tasks.list({ jobId, bucketCount: 1 }, { limit: 1000 })).tasks;
    const itemsTouched: number[] = [];
    plane().requests.intercept((request, send) => {
      if (request.operation === "TransactWriteItems")
        itemsTouched.push((request.input.TransactItems as unknown[]).length);
      return send();
    });
    await plane().deps.fold.foldTasks(jobId, images);
    plane().requests.intercept(undefined);
    expect(await readJob(jobId)).toMatchObject({ counts: { queued: 36 }, lastEvent: 2 + 36 * 2 });
    expect(itemsTouched.length).toBeGreaterThan(1);
    for (const items of itemsTouched) expect(items * envBytes).toBeLessThanOrEqual(maxTransactionBytes);
  });

  it.each([
    ["of one task", 1, 1400],
    ["of many tasks", 30, 50],
  ])("counts any number of moves %s, more than one page of events holds", async (_title, tasks, movesPerTask) => {
    const names = taskNames(tasks).map((name) => name.padEnd(jobRules.taskName.maxLength, "x"));
    const jobId = await plane().submit(noopJob(names, { name: "j".repeat(jobRules.jobName.maxLength) }));
    for (const task of names) await pretendMoves(jobId, task, movesPerTask);
    const images = (await plane().deps.tasks.list({ jobId, bucketCount: 1 }, { limit: 1000 })).tasks;
    await plane().deps.fold.foldTasks(jobId, images);
    const seq = 2 + tasks * movesPerTask;
    expect(await readJob(jobId)).toMatchObject({ status: "running", counts: { queued: tasks }, lastEvent: seq });
    expect((await readAllEvents(jobId)).map((event) => event.seq)).toEqual(
      Array.from({ length: seq }, (_, i) => i + 1),
    );
  });
});

/** Makes it look as if the task had been started and given back again and again while nothing folded. */
async function pretendMoves(jobId: string, task: string, count: number): Promise<void> {
  const at = new Date(plane().clock.now()).toISOString();
  const outbox = Array.from({ length: count }, (_, index) => {
    const [from, to] = index % 2 === 0 ? ["queued", "running"] : ["running", "queued"];
    return { at, from, to, attempt: Math.ceil((index + 1) / 2) };
  });
  await updateItem(plane().table, {
    Key: taskKey(jobId, 0, task),
    UpdateExpression: "SET #rev = #rev + :count, outbox = :outbox, unfolded = :count",
    ExpressionAttributeNames: { "#rev": "rev" },
    ExpressionAttributeValues: { ":count": count, ":outbox": outbox },
  });
}

async function readAllEvents(jobId: string): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for (let after = 0; ; ) {
    const page = await plane().call<EventPage>(`/v1/jobs/${jobId}/events?after=${after}&limit=1000`);
    if (page.events.length === 0) return events;
    events.push(...page.events);
    after = page.next;
  }
}

function fail(): never {
  throw new Error("the task is missing");
}
