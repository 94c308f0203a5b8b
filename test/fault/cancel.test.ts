import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { LogPage } from "../../shared/api/log-schemas.ts";
import type { Task } from "../../shared/api/schemas.ts";
import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import { type FaultStack, greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import type { Ending, PlannedJob } from "../support/chaos/workload.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, step } from "../support/jobs.ts";

const startStack = useFaultStacks();

/** Where a task stands when the cancel comes, and how it has to end. */
const points = {
  pending: { status: "aborted", attempt: 0 },
  queued: { status: "aborted", attempt: 0 },
  pulling: { status: "aborted", attempt: 1 },
  running: { status: "aborted", attempt: 1 },
  // Its steps have ended: it is kept, also where its job is aborted.
  uploading: { status: "completed", attempt: 1 },
} as const;
type Point = keyof typeof points;

interface Cancelled {
  point: Point;
  kind: "cancel_job" | "cancel_task";
  plan: PlannedJob;
  jobId: string;
}

/** A registry that takes requests and never answers; tells which images it was asked for. */
async function startSilentRegistry(): Promise<{ host: string; asked: () => number }> {
  let asked = 0;
  const server = createServer(() => {
    asked += 1;
  });
  server.listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await eventually(() => server.listening, "the registry");
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked };
}

function planAt(point: Point, kind: Ending["kind"], dataDir: string, registry: string): PlannedJob {
  const mark = (name: string) => `"${join(dataDir, `${name}-${point}-${kind}`)}"`;
  const waits = `while [ ! -e ${mark("go")} ]; do sleep 0.1; done`;
  const keep = 'echo kept > "$SLUICE_OUTPUT/kept"';
  const steps: Record<Point, JobSpecInput["steps"]> = {
    pending: [step({ run: greet })],
    queued: [step({ run: greet })],
    pulling: [step({ run: greet }, `${registry}/${kind.replace("_", "-")}:1`)],
    running: [step({ run: `${greet}; ${keep}; touch ${mark("there")}; sleep 1000` })],
    uploading: [step({ run: `${greet}; ${keep}; touch ${mark("there")}; ${waits}; touch ${mark("done")}` })],
  };
  const plan = planCompleting(`${point}-${kind}`.replaceAll("_", "-"), steps[point], ["t"]);
  if (point === "pending") {
    const needed = { name: "needed", exitCode: 0, lines: 0, outputBytes: 0 };
    plan.tasks = [{ ...needed, demanded: { state: "completed", exitCode: 0 } }, ...plan.tasks.map(needing)];
    plan.spec.tasks = [{ name: "needed" }, { name: "t", needs: ["needed"] }];
  }
  return { ...plan, ending: kind === "cancel_task" ? { kind, task: "t" } : { kind: "cancel_job" } };
}

function needing<T extends object>(task: T): T & { needs: string[] } {
  return { ...task, needs: ["needed"] };
}

async function submitAt(running: FaultStack, registry: string, wanted: readonly Point[]): Promise<Cancelled[]> {
  const both = wanted.flatMap((point) => (["cancel_job", "cancel_task"] as const).map((kind) => ({ point, kind })));
  return Promise.all(
    both.map(async ({ point, kind }) => {
      const plan = planAt(point, kind, running.stack.dataDir, registry);
      return { point, kind, plan, jobId: await running.submit(plan) };
    }),
  );
}

async function cancel({ stack }: FaultStack, { kind, jobId }: Cancelled): Promise<void> {
  await callApi(stack, kind === "cancel_job" ? `/v1/jobs/${jobId}/cancel` : `/v1/jobs/${jobId}/tasks/t/cancel`, {});
}

describe("a cancel of a job, and of a task,", () => {
  it("acts wherever the task stands, keeps its log and output, and leaves nothing", {
    timeout: 240_000,
  }, async (context) => {
    if (!(await needDocker(context))) return;
    const registry = await startSilentRegistry();
    // Uploads are slow, so that a cancel finds tasks in the middle of theirs.
    const slowUploads = { s3: [{ operation: "PutObject", kind: "delay", delayMs: 1_500 }] };
    const running = await startStack({ workers: 1, slots: 8, env: { SLUICE_FAULTS: JSON.stringify(slowUploads) } });
    const { dataDir } = running.stack;
    const mark = (name: string, { point, kind }: Cancelled) => join(dataDir, `${name}-${point}-${kind}`);
    const release = join(dataDir, "release");
    const hold = `${greet}; while [ ! -e "${release}" ]; do sleep 0.2; done`;
    const holders = planCompleting("holders", [step({ run: hold })], ["a", "b"]);
    const holdersId = await running.submit(holders);

    const started = await submitAt(running, registry.host, ["pulling", "running", "uploading"]);
    for (const item of started.filter(({ point }) => point !== "pulling")) {
      await eventually(() => existsSync(mark("there", item)), `${item.point} there`);
    }
    await eventually(() => registry.asked() >= 2, "both pulls");
    for (const task of ["a", "b"]) {
      const holds = async () => (await running.read<Task>(`/v1/jobs/${holdersId}/tasks/${task}`)).status === "running";
      await eventually(holds, `holder ${task}`);
    }
    const waiting = await submitAt(running, registry.host, ["pending", "queued"]);
    for (const item of started.filter(({ point }) => point === "uploading")) {
      await writeFile(mark("go", item), "");
      await eventually(() => existsSync(mark("done", item)), "the end of the steps");
      await cancel(running, item);
    }
    for (const item of [...started, ...waiting]) if (item.point !== "uploading") await cancel(running, item);
    await writeFile(release, "");

    for (const item of [...started, ...waiting]) {
      const { job, tasks } = await running.expectSound(item.plan, item.jobId);
      const task = tasks.find((candidate) => candidate.task === "t");
      const name = `${item.point} ${item.kind}`;
      expect(task, name).toMatchObject(points[item.point]);
      if (item.kind === "cancel_job") expect(job.status, name).toBe("aborted");
      if (item.point !== "running" && item.point !== "uploading") continue;
      const log = await running.read<LogPage>(`/v1/jobs/${item.jobId}/tasks/t/logs`);
      expect(log, name).toMatchObject({ complete: true, lines: [{ text: "attempt 1 of t" }] });
      expect(task?.artifacts, name).toHaveLength(1);
    }
    await running.expectSound(holders, holdersId);
  });
});
