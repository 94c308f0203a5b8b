import { describe, expect, it } from "vitest";
import type { TaskMetrics } from "../../shared/api/metric-schemas.ts";
import type { Task, TaskPage } from "../../shared/api/schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import type { MetricSample } from "../../shared/domain/metric-sample.ts";
import { putMetricsManifest, putSnapshot } from "../../workers/metrics/snapshots.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { ended, released } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const putOptions = { deadlineMs: 1_000, signal: new AbortController().signal };
const footprint = {
  sampledMs: 5_000,
  cpuAvg: 12.5,
  cpuMax: 80,
  memoryMax: 1e6,
  readBytes: 0,
  writtenBytes: 10,
  receivedBytes: 0,
  sentBytes: 0,
  oomKills: 0,
};
const steps = [{ index: 1, name: "step" }];

const takeSamples = (count: number): MetricSample[] =>
  Array.from({ length: count }, (_, place) => ({
    at: plane().clock.now() + place * 5_000,
    units: [{ step: 1, ms: 5_000, cpu: place === count - 1 ? 400 : 10, memory: 100 }],
  }));
const store = ({ jobId, task, attempt }: ClaimedTask, sequence: number, samples: readonly MetricSample[]) =>
  putSnapshot(plane().deps.objects, { jobId, task, attempt, workerId: "w" }, sequence, samples, putOptions);
const readMetrics = ({ jobId, task }: Pick<ClaimedTask, "jobId" | "task">, query = "") =>
  plane().call<TaskMetrics>(`/v1/jobs/${jobId}/tasks/${task}/metrics${query}`);
const readTask = ({ jobId, task }: ClaimedTask) => plane().call<Task>(`/v1/jobs/${jobId}/tasks/${task}`);

describe("the metrics of a task", () => {
  it("are none before it begins, those stored so far while it runs, and all once it was reported", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    expect(await readMetrics({ jobId, task: "a" })).toMatchObject({
      attempt: 0,
      samples: 0,
      series: [],
      complete: false,
    });
    plane().clock.advance(2_000);
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    await store(claimed, 1, takeSamples(3));
    expect(await readMetrics(claimed)).toMatchObject({ attempt: 1, samples: 3, complete: false });
    await store(claimed, 2, takeSamples(300));
    await worker.report(claimed, ended({ state: "completed", exitCode: 0 }, { steps, footprint }));

    const all = await readMetrics(claimed, "?points=50");
    expect(all).toMatchObject({ samples: 303, complete: true, footprint, sources: ["task", "step-1"] });
    const cpu = all.series.find(({ metric }) => metric === "cpu");
    expect(cpu).toMatchObject({ unit: "percent of one core", min: 10, max: 400 });
    expect(cpu?.points.length).toBeLessThanOrEqual(50);
    expect(cpu?.points.at(-1)?.[1]).toBe(400);
    expect((await readMetrics(claimed, "?source=service-none")).series).toEqual([]);
    expect((await readTask(claimed)).attempts[0]).toMatchObject({ waitedMs: 2_000, footprint });
    const page = await plane().call<TaskPage>(`/v1/jobs/${jobId}/tasks`);
    expect(page.tasks[0]).toMatchObject({ footprint });
  });

  it("lack a snapshot that is damaged, and say so; what a clock that was set back makes of them is put in order", async () => {
    await plane().submit(noopJob(["a"]));
    const claimed = await plane().createWorker().claimOne();
    const samples = takeSamples(4);
    await store(claimed, 1, samples.slice(2));
    const { key } = await store(claimed, 2, samples);
    await plane().deps.objects.put(key, "{ half", "application/zstd");
    await store(claimed, 3, samples.slice(0, 2));
    const metrics = await readMetrics(claimed);
    expect(metrics).toMatchObject({ samples: 4, unreadable: 1 });
    expect(metrics.series[0]?.points.map(([at]) => at)).toEqual(samples.map(({ at }) => at));
  });

  it("of an attempt that was given back are told with what it left", async () => {
    await plane().submit(noopJob(["a"]));
    const worker = plane().createWorker();
    const claimed = await worker.claimOne();
    await worker.report(claimed, released());
    expect(await readMetrics(claimed)).toMatchObject({ complete: false });
    const { reason } = (await readTask(claimed)).attempts[0]?.outcome ?? {};
    if (reason === undefined) throw new Error("it was not given back");
    await worker.report(claimed, { kind: "released", reason, steps, logs: [], artifacts: [], footprint });
    expect((await readTask(claimed)).attempts[0]).toMatchObject({ footprint });
    expect(await readMetrics(claimed, "?attempt=1")).toMatchObject({ complete: true, footprint });
  });

  it("of an attempt that was lost are complete when another worker has stored them, with their footprint", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const claimed = await plane().createWorker().claimOne();
    plane().clock.advance(31_000);
    await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0 }]);
    const samples = takeSamples(2);
    const snapshot = await store(claimed, 1, samples);
    expect(await readMetrics(claimed, "?attempt=1")).toMatchObject({ samples: 2, complete: false });
    const owner = { jobId, task: "a", attempt: 1, workerId: "w" };
    await putMetricsManifest(plane().deps.objects, owner, [snapshot], undefined, putOptions);
    const metrics = await readMetrics(claimed, "?attempt=1");
    expect(metrics).toMatchObject({ samples: 2, complete: true, footprint: { cpuMax: 400, memoryMax: 100 } });
  });

  it("are refused where the question makes no sense", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const ask = (query: string) => readMetrics({ jobId, task: "a" }, query);
    await expect(ask("?attempt=1")).rejects.toThrow(/has no attempt 1/);
    await expect(ask("?source=disk")).rejects.toThrow(/source: .*task\|host\|step-/);
    await expect(ask("?points=3")).rejects.toThrow();
    await expect(readMetrics({ jobId, task: "b" })).rejects.toThrow(/no task b/);
  });
});
