import { describe, expect, it } from "vitest";
import type { Job, JobPage, Problem, SubmittedJob, TaskPage } from "../../shared/api/schemas.ts";
import { limits } from "../../shared/domain/limits.ts";
import type { Role } from "../../shared/domain/roles.ts";
import { maxInfrastructureAttempts } from "../../shared/domain/timing.ts";
import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { ended } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const readJob = (jobId: string) => plane().call<Job>(`/v1/jobs/${jobId}`);

async function refuse(spec: unknown): Promise<Problem> {
  const response = await plane().request("/v1/jobs", { body: { spec } });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = (await response.json()) as Problem;
  expect(problem.status).toBe(response.status);
  return problem;
}

describe("a job whose tasks are large", () => {
  const envOf = (bytes: number) => ({ DATA: "x".repeat(bytes) });

  it("is taken though its tasks do not fit into one transaction", async () => {
    const tasks = taskNames(75).map((name) => ({ name, env: envOf(48_000) }));
    const jobId = await plane().submit(noopJob([], { tasks }));
    await plane().foldAll();
    const page = await plane().call<TaskPage>(`/v1/jobs/${jobId}/tasks?limit=1000`);
    expect(page.tasks.map(({ task }) => task)).toEqual(taskNames(75));
    expect((await plane().createWorker().claimOne()).env.DATA).toHaveLength(48_000);
  });

  it("is refused where one task is larger than its item may be, and names each such task", async () => {
    const large = { DATA: "x".repeat(90_000), MORE: "x".repeat(90_000) };
    const tasks = [{ name: "a", env: large }, { name: "b" }, { name: "c", env: large }];
    const problem = await refuse(noopJob([], { tasks }));
    expect(problem).toMatchObject({ status: 400, code: "invalid_job" });
    expect(problem.problems?.map(({ path }) => path)).toEqual(["spec.tasks[0]", "spec.tasks[2]"]);
    expect(problem.problems?.[0]?.message).toContain(String(limits.taskBytes));
  });

  it("keeps all attempts at a task of the largest size, however much each has to tell", async () => {
    const tasks = [{ name: "a", env: { DATA: "x".repeat(99_000), MORE: "y".repeat(31_000) } }];
    const jobId = await plane().submit(noopJob([], { tasks }));
    const worker = plane().createWorker();
    const at = new Date(plane().clock.now()).toISOString();
    const names = Array.from({ length: 100 }, (_, index) => `${index}`.padEnd(100, "s"));
    const result = ended(
      { state: "failed", exitCode: 7, reason: { code: "internal", detail: "z".repeat(2000), fault: "infrastructure" } },
      {
        steps: names.map((name, index) => ({ index: index + 1, name, startedAt: at, endedAt: at, exitCode: 0 })),
        logs: names.map((name, index) => ({ step: index + 1, name, chunks: 1e6, lines: 1e9, bytes: 1e12 })),
      },
    );
    for (let attempt = 1; attempt <= maxInfrastructureAttempts; attempt++) {
      const [claim] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
      if (claim?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claim)}`);
      const answer = await worker.report(claim, result);
      expect(answer.status).toBe(attempt === maxInfrastructureAttempts ? "accepted" : "retry");
    }
    await plane().foldAll();
    expect(await readJob(jobId)).toMatchObject({ status: "failed" });
  });

  it("is taken with a spec of just under its limit", async () => {
    const run = "x".repeat(60_000);
    const steps = Array.from({ length: 4 }, (_, index) => ({
      kind: "process" as const,
      name: `s${index}`,
      entry: { run },
    }));
    const jobId = await plane().submit(noopJob(["a"], { steps }));
    expect((await plane().createWorker().claimOne()).jobId).toBe(jobId);
  });
});

describe("an Idempotency-Key", () => {
  const submit = async (key: string, spec: JobSpecInput, role: Role = "submitter") => {
    const response = await plane().request("/v1/jobs", { body: { spec }, role, headers: { "idempotency-key": key } });
    return { status: response.status, body: (await response.json()) as SubmittedJob & Problem };
  };
  const countJobs = async () => (await plane().call<JobPage>("/v1/jobs?limit=100")).jobs.length;

  it.each([3, 120])("makes one job of a submit of %i tasks that is repeated", async (tasks) => {
    const first = await submit("k", noopJob(taskNames(tasks)));
    const second = await submit("k", noopJob(taskNames(tasks)));
    expect(first).toMatchObject({ status: 201, body: { created: true, tasks } });
    expect(second).toMatchObject({ status: 200, body: { created: false, tasks, job: first.body.job } });
    expect(await countJobs()).toBe(1);
  });

  it.each([3, 120])("makes one job of submits of %i tasks that come at the same moment", async (tasks) => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => submit("k", noopJob(taskNames(tasks)))));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.job)).size).toBe(1);
    expect(await countJobs()).toBe(1);
  });

  it("is refused for another job", async () => {
    const first = await submit("k", noopJob(["a"]));
    expect(await submit("k", noopJob(["b"]))).toMatchObject({ status: 409, body: { code: "idempotency_mismatch" } });
    expect(await countJobs()).toBe(1);
    expect(first.status).toBe(201);
  });

  it("belongs to who sent it", async () => {
    const mine = await submit("k", noopJob(["a"]));
    const theirs = await submit("k", noopJob(["a"]), "admin");
    expect(theirs.status).toBe(201);
    expect(theirs.body.job).not.toBe(mine.body.job);
  });

  it("counts for a day: an expired one is as good as none, whether its item is gone or not", async () => {
    const first = await submit("k", noopJob(["a"]));
    plane().clock.advance(25 * 3600_000);
    const second = await submit("k", noopJob(["b"]));
    expect(second.status).toBe(201);
    expect(second.body.job).not.toBe(first.body.job);
    expect(await submit("k", noopJob(["b"]))).toMatchObject({ status: 200, body: { job: second.body.job } });
  });

  it("announces the tasks at once where the first submit ended before it could", async () => {
    plane().requests.intercept(async ({ service }, send) => {
      if (service === "sqs") throw new Error("the queue is away");
      return send();
    });
    await submit("k", noopJob(taskNames(3)));
    plane().requests.intercept(undefined);
    expect(await plane().createWorker().receive()).toEqual([]);
    await submit("k", noopJob(taskNames(3)));
    expect(await plane().createWorker().runAll()).toBe(3);
  });
});
