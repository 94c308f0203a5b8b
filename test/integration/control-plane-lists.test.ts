import { describe, expect, it } from "vitest";
import type {
  AttemptTimesPage,
  Job,
  JobPage,
  Problem,
  TaskBriefPage,
  TaskPage,
  WorkerPage,
} from "../../shared/api/schemas.ts";
import { encodeCursor } from "../../shared/repository/cursors.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { readEvents } from "../support/control-plane-sse.ts";
import { completed, failedWith } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

/** Follows the cursors of a list from its first page to its last. */
async function readPages<Page extends { cursor?: string | undefined }>(path: string): Promise<Page[]> {
  const pages: Page[] = [];
  for (let cursor: string | undefined = ""; cursor !== undefined; cursor = pages.at(-1)?.cursor) {
    pages.push(await plane().call<Page>(`${path}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`));
    if (pages.length > 50) throw new Error("the pages do not end");
  }
  return pages;
}

const queries = () => plane().requests.counts()["dynamodb.Query"] ?? 0;

describe("the list of a job's tasks", () => {
  it("shows every task once, page by page", async () => {
    const jobId = await plane().submit(noopJob(taskNames(25)));
    const pages = await readPages<TaskPage>(`/v1/jobs/${jobId}/tasks?limit=10`);
    expect(pages.map((page) => page.tasks.length)).toEqual([10, 10, 5]);
    expect(pages.flatMap((page) => page.tasks.map(({ task }) => task))).toEqual(taskNames(25));
  });

  it("shows them in brief, as far as they are known", async () => {
    const jobId = await plane().submit({
      ...noopJob(["a", "b", "c"]),
      tasks: [{ name: "a" }, { name: "b" }, { name: "c", needs: ["a", "b"] }],
    });
    await plane()
      .createWorker()
      .runAll((claimed) => (claimed.task === "a" ? completed() : failedWith(7)));
    const path = `/v1/jobs/${jobId}/task-briefs`;
    const pages = await readPages<TaskBriefPage>(`${path}?limit=2`);
    expect(pages.map((page) => page.tasks.length)).toEqual([2, 1]);
    const briefs = pages.flatMap((page) => page.tasks);
    const { tasks } = await plane().call<TaskPage>(`/v1/jobs/${jobId}/tasks`);
    for (const [index, { slots, workerId, createdAt, artifacts, footprint, ...brief }] of tasks.entries()) {
      expect(briefs[index]).toEqual(brief);
    }
    expect(briefs.map(({ status }) => status)).toEqual(["completed", "failed", "pending"]);
  });

  it("finds tasks by status, each once, with few reads however small the page", async () => {
    const jobId = await plane().submit(noopJob(taskNames(90)));
    await plane()
      .createWorker()
      .runAll((claimed) => (claimed.task.endsWith("7") ? failedWith(7) : completed()));
    plane().requests.reset();
    const pages = await readPages<TaskPage>(`/v1/jobs/${jobId}/tasks?limit=2&status=failed`);
    expect(pages.flatMap((page) => page.tasks.map(({ task }) => task))).toEqual(
      taskNames(90).filter((name) => name.endsWith("7")),
    );
    expect(pages.every((page) => page.tasks.length <= 2)).toBe(true);
    expect(queries()).toBeLessThanOrEqual(pages.length + 1);
  });
});

describe("the list of a job's attempts", () => {
  it("shows every attempt once, page by page, and those of named tasks", async () => {
    const jobId = await plane().submit(noopJob(taskNames(25)));
    await plane()
      .createWorker()
      .runAll((claimed) => (claimed.task === "t0007" ? failedWith(7) : completed()));
    const pages = await readPages<AttemptTimesPage>(`/v1/jobs/${jobId}/attempts?limit=10`);
    expect(pages.map((page) => page.attempts.length)).toEqual([10, 10, 5]);
    const attempts = pages.flatMap((page) => page.attempts);
    expect(attempts.map(({ task }) => task)).toEqual(taskNames(25));
    const failed = attempts.find(({ task }) => task === "t0007");
    expect(failed).toMatchObject({ attempt: 1, waitedMs: 0, state: "failed", reason: "exit_code" });
    const named = await plane().call<AttemptTimesPage>(`/v1/jobs/${jobId}/attempts?tasks=t0007,t0007,t9999`);
    expect(named).toEqual({ attempts: [failed] });
    const many = taskNames(51).join(",");
    await expect(plane().call(`/v1/jobs/${jobId}/attempts?tasks=${many}`)).rejects.toThrow("400");
  });
});

describe("the list of jobs", () => {
  it("shows the newest first, page by page", async () => {
    const jobIds: string[] = [];
    for (let count = 0; count < 7; count++) {
      jobIds.push(await plane().submit(noopJob(["a"])));
      plane().clock.advance(5);
    }
    const pages = await readPages<JobPage>("/v1/jobs?limit=3");
    expect(pages.map((page) => page.jobs.length)).toEqual([3, 3, 1]);
    expect(pages.flatMap((page) => page.jobs.map(({ job }) => job))).toEqual(jobIds.toReversed());
  });

  it("finds jobs by name and status beyond the first page of the index", async () => {
    const wanted = await plane().submit(noopJob(["a"], { name: "wanted" }));
    plane().clock.advance(5);
    for (let count = 0; count < 6; count++) await plane().submit(noopJob(["a"]));
    const page = await plane().call<JobPage>("/v1/jobs?limit=2&name=wanted&status=queued");
    expect(page.jobs.map(({ job }) => job)).toEqual([wanted]);
    expect(await plane().call<JobPage>("/v1/jobs?limit=2&name=wanted&status=failed")).toEqual({ jobs: [] });
  });

  it("finds jobs by a part of their id, by who submitted them and by when", async () => {
    const first = await plane().submit(noopJob(["a"], { name: "first" }));
    plane().clock.advance(60_000);
    const between = new Date(plane().clock.now() - 1).toISOString();
    const second = await plane().submit(noopJob(["a"], { name: "second" }));
    const find = async (query: string) => (await plane().call<JobPage>(`/v1/jobs?${query}`)).jobs.map(({ job }) => job);
    expect(await find(`search=${first.slice(2, 20)}`)).toEqual([first]);
    expect(await find("search=nothing-like-it")).toEqual([]);
    expect(await find(`since=${between}`)).toEqual([second]);
    expect(await find(`until=${between}`)).toEqual([first]);
    for (const beyond of [
      "since=9999-12-31T00:00:00Z",
      "until=0001-01-01T00:00:00Z",
      `since=${between}&until=${between}`,
    ]) {
      plane().requests.reset();
      expect(await find(beyond)).toEqual([]);
      expect(plane().requests.counts()).not.toHaveProperty("dynamodb.BatchGetItem");
    }
    // A cursor of another span is no way out of this one.
    const behind = (job: string) => `cursor=${encodeCursor("jobs", [job])}`;
    expect(await find(`since=${between}&${behind(first)}`)).toEqual([]);
    expect(await find(`until=${between}&${behind(second)}`)).toEqual([first]);
    const { submittedBy } = await plane().call<Job>(`/v1/jobs/${first}`);
    expect(await find(`by=${submittedBy}`)).toEqual([second, first]);
    expect(await find("by=nobody")).toEqual([]);
  });

  it("is followed: each job once, again when it has changed, and told when it is not what was asked for", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const headers = { accept: "text/event-stream" };
    const all = readEvents(await plane().request("/v1/jobs", { headers }));
    const queued = readEvents(await plane().request("/v1/jobs?status=queued", { headers }));
    const read = async (events: typeof all) => {
      const { event, data } = (await events.next()) ?? {};
      const { job, status } = JSON.parse(data ?? "{}") as { job?: string; status?: string };
      return { event, job, status };
    };
    expect(await read(all)).toEqual({ event: "job", job: jobId, status: "queued" });
    expect(await read(queued)).toEqual({ event: "job", job: jobId, status: "queued" });
    await plane()
      .createWorker()
      .runAll(() => completed());
    await plane().foldAll();
    expect(await read(all)).toMatchObject({ event: "job", job: jobId, status: "completed" });
    expect(await read(queued)).toEqual({ event: "left", job: jobId });
    await all.cancel();
    await queued.cancel();
  });
});

describe("the list of workers", () => {
  it("shows the newest first, page by page", async () => {
    const workerIds: string[] = [];
    for (let count = 0; count < 3; count++) {
      const worker = plane().createWorker();
      await worker.register();
      workerIds.push(worker.workerId);
      plane().clock.advance(5);
    }
    const pages = await readPages<WorkerPage>("/v1/workers?limit=2");
    expect(pages.flatMap((page) => page.workers.map(({ workerId }) => workerId))).toEqual(workerIds.toReversed());
  });
});

describe("a cursor that no list made", () => {
  const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  it.each([
    ["is no text of ours", "%%%"],
    ["is some JSON", forged({ pk: "TOKEN#x", sk: "TOKEN" })],
    ["is a number", forged(7)],
    ["names a key of another table", forged({ bucket: 0, key: { pk: "JOB#x", sk: 1 } })],
    ["names a bucket that cannot be", forged(["tasks", -1, "a"])],
  ])("%s: is refused by each list", async (_title, cursor) => {
    const jobId = await plane().submit(noopJob(["a"]));
    for (const path of ["/v1/jobs?", "/v1/workers?", `/v1/jobs/${jobId}/tasks?`]) {
      const response = await plane().request(`${path}cursor=${encodeURIComponent(cursor)}`);
      expect({ path, status: response.status }).toEqual({ path, status: 400 });
      expect(((await response.json()) as Problem).code).toBe("invalid_cursor");
    }
  });

  it("belongs to another list: is refused", async () => {
    const [one, other] = [await plane().submit(noopJob(["a", "b"])), await plane().submit(noopJob(["a", "b"]))];
    await plane().createWorker().register();
    const lists = ["/v1/jobs?limit=1", `/v1/jobs/${one}/tasks?limit=1`, `/v1/jobs/${other}/tasks?limit=1`];
    const cursors = await Promise.all(lists.map(async (path) => (await plane().call<TaskPage>(path)).cursor ?? ""));
    for (const [index, cursor] of cursors.entries()) {
      for (const [at, path] of lists.entries()) {
        const response = await plane().request(`${path}&cursor=${encodeURIComponent(cursor)}`);
        expect({ path, index, status: response.status }).toEqual({ path, index, status: at === index ? 200 : 400 });
      }
    }
  });
});
