import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSamples } from "../../functions/operations/read-metrics.ts";
import type { TaskMetrics } from "../../shared/api/metric-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import type { MetricSample } from "../../shared/domain/metric-sample.ts";
import { createLogger } from "../../shared/log.ts";
import { readRecords } from "../../workers/metrics/spool-format.ts";
import { openBucket } from "../support/chaos/bucket-checks.ts";
import { greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { runCli } from "../support/cli.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { step } from "../support/jobs.ts";

const startStack = useFaultStacks();
const silentLog = createLogger("test", { level: "silent" });
const heldBytes = 20_000_000;
/** Takes memory and cpu, then stays: its first attempt until something ends it. */
const burn = [
  greet,
  `held=$(head -c ${heldBytes} /dev/zero | tr '\\0' x)`,
  "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done",
  '[ "$SLUICE_ATTEMPT" -ge 2 ] && sleep 6 || sleep 1000',
  ': "$held"',
].join("; ");

/** The samples in the spools of a worker, by task. */
async function readSpools(dataDir: string, workerId: string): Promise<Map<string, MetricSample[]>> {
  const folder = join(dataDir, "work", workerId);
  const spools = new Map<string, MetricSample[]>();
  for (const name of (await readdir(folder)).filter((file) => file.endsWith(".wal"))) {
    const records = readRecords(await readFile(join(folder, name)));
    const samples = records.flatMap((record) => (record.kind === "sample" ? [record.sample] : []));
    spools.set(name.startsWith("container") ? "container" : "process", samples);
  }
  return spools;
}

describe("a worker that is killed while it takes samples", () => {
  it("loses none: the next worker of its machine stores them, and both attempts can be read", {
    timeout: 240_000,
  }, async (context) => {
    if (!(await needDocker(context))) return;
    const running = await startStack({ workers: 1, slots: 2 });
    const { dataDir } = running.stack;
    const plans = {
      container: planCompleting("burns", [step({ run: burn }, "busybox:stable")], ["container"]),
      process: planCompleting("burns", [step({ run: burn })], ["process"]),
    };
    const jobs = {
      container: await running.submit(plans.container),
      process: await running.submit(plans.process),
    };
    const tasks = ["container", "process"] as const;
    const workerId = await eventually(async () => {
      const found = await running.read<Task>(`/v1/jobs/${jobs.process}/tasks/process`);
      return found.workerId;
    }, "a worker for the task");
    const before = await eventually(async () => {
      const spools = await readSpools(dataDir, workerId);
      return tasks.every((task) => (spools.get(task)?.length ?? 0) >= 3) ? spools : undefined;
    }, "samples of both tasks");
    await running.signalWorker(workerId, "SIGKILL");

    const readMetrics = (task: (typeof tasks)[number], query: string) =>
      running.read<TaskMetrics>(`/v1/jobs/${jobs[task]}/tasks/${task}/metrics?${query}`);
    const bucket = openBucket(running.stack);
    for (const task of tasks) {
      await running.expectSound(plans[task], jobs[task]);
      const first = await eventually(async () => {
        const metrics = await readMetrics(task, "attempt=1");
        return metrics.complete ? metrics : undefined;
      }, "the samples of the attempt that was lost");
      const samples: MetricSample[] = [];
      const attempt = { jobId: jobs[task], task, attempt: 1 };
      await readSamples({ objects: bucket.objects, log: silentLog }, attempt, (sample) => samples.push(sample));
      const taken = before.get(task) ?? [];
      expect(samples.slice(0, taken.length)).toEqual(taken);
      expect(first.samples).toBe(samples.length);
      // Each sample is about all the time since the one before: nothing is missing in between.
      for (const [place, { at, units }] of samples.entries()) {
        const sinceLast = at - (samples[place - 1]?.at ?? at - (units[0]?.ms ?? 0));
        expect(Math.abs(sinceLast - (units[0]?.ms ?? 0))).toBeLessThan(1_000);
      }
      const second = await readMetrics(task, "attempt=2&source=step-1");
      expect(second).toMatchObject({ complete: true, sources: ["task", "host", "step-1"] });
      for (const { footprint, series } of [first, second]) {
        expect(footprint?.cpuMax).toBeGreaterThan(1);
        expect(footprint?.memoryMax).toBeGreaterThan(heldBytes);
        expect(series.find(({ metric }) => metric === "memory")?.max).toBe(footprint?.memoryMax);
      }
      expect((await readMetrics(task, "source=host")).series.map(({ metric }) => metric)).toContain("disk_free");
      const { stdout } = await runCli(running.stack, ["show", jobs[task], task]);
      expect(stdout).toMatch(/used cpu [\d.]+ % of a core \(max [\d,.]+ %\), memory \d+ MB/);
    }
    bucket.close();
  });
});
