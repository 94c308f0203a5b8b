import { describe, expect, it } from "vitest";
import type { Job, Problem, TaskPage } from "../../shared/api/schemas.ts";
import { limits } from "../../shared/domain/limits.ts";
import { maxInfrastructureAttempts } from "../../shared/domain/timing.ts";
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
    const tasks = taskNames(93).map((name) => ({ name, env: envOf(48_000) }));
    const jobId = await plane().submit(noopJob([], { tasks }));
    await plane().foldAll();
    const page = await plane().call<TaskPage>(`/v1/jobs/${jobId}/tasks?limit=1000`);
    expect(page.tasks.map(({ task }) => task)).toEqual(taskNames(93));
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
