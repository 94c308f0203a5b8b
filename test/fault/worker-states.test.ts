import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FleetEvent } from "../../events/index.ts";
import type { Pool, PoolList, Task, Worker, WorkerPage } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, readTask, step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";
import { WorkerProcess } from "../support/worker-process.ts";

let folder = "";
let stack: RunningStack;
let workerToken = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-states-"));
  stack = await startLocalStack({ workers: 0 });
  workerToken = (JSON.parse(await readFile(join(stack.dataDir, "state.json"), "utf8")) as { workerToken: string })
    .workerToken;
});

afterAll(async () => {
  await stack.stop();
  await stack.remove();
  await rm(folder, { recursive: true, force: true });
});

/** A worker of its own, whose clock is off. */
async function startWorker(
  skewMs = 0,
  env: Record<string, string> = {},
): Promise<{ process: WorkerProcess; workerId: string }> {
  const skew = `const now = Date.now; Date.now = () => now() + ${skewMs};`;
  const process = new WorkerProcess({
    PATH: globalThis.process.env.PATH ?? "",
    NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(skew)}`,
    SLUICE_URL: stack.url,
    SLUICE_TOKEN: workerToken,
    SLUICE_SLOTS: "1",
    SLUICE_EXECUTORS: "process",
    SLUICE_WORK_DIR: join(folder, "work"),
    AWS_ENDPOINT_URL_SQS: stack.aws.sqs,
    AWS_ENDPOINT_URL_S3: stack.aws.s3,
    AWS_REGION: stack.aws.region,
    AWS_ACCESS_KEY_ID: stack.aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: stack.aws.secretAccessKey,
    ...env,
  });
  return { process, workerId: await process.ready };
}

/** What a command prints with `--json`. */
async function ask<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli(stack, ["--json", ...args]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

async function readStates(): Promise<Record<string, string>> {
  const { workers } = await callApi<WorkerPage>(stack, "/v1/workers");
  return Object.fromEntries(workers.map(({ workerId, state }) => [workerId, state]));
}

async function readPool(): Promise<Pool | undefined> {
  return (await callApi<PoolList>(stack, "/v1/pools")).pools.find(({ pool }) => pool === "default");
}

const readEvents = async (...args: string[]) =>
  (await ask<{ events: FleetEvent[] }>("pools", "events", ...args)).events;

describe("workers, a minute ahead or behind", () => {
  it("that are killed, sleep or stop in order are told apart, with their tasks and what becomes of their pool", async () => {
    // Nobody else is there to get the task.
    const killed = await startWorker(60_000);
    const jobId = await submit(stack, { name: "held", steps: [step({ run: "sleep 1000" })], tasks: [{ name: "t" }] });
    await eventually(async () => {
      const task = await callApi<Task>(stack, `/v1/jobs/${jobId}/tasks/t`);
      return task.status === "running";
    }, "the task");
    const [asleep, stopped, last] = await Promise.all([startWorker(-60_000), startWorker(60_000), startWorker()]);
    await eventually(async () => (await readPool())?.workers.alive === 4, "four workers");
    expect((await readPool())?.state).toBe("alive");

    killed.process.child.kill("SIGKILL");
    asleep.process.child.kill("SIGSTOP");
    stopped.process.child.kill("SIGTERM");
    await eventually(async () => (await readStates())[stopped.workerId] === "stopped", "the end in order");
    const lost = [killed.workerId, asleep.workerId];
    await eventually(async () => {
      const states = await readStates();
      return lost.every((workerId) => states[workerId] === "lost");
    }, "the losses");
    const { pools } = await ask<PoolList>("pools");
    expect(pools).toMatchObject([{ pool: "default", state: "degraded", workers: { alive: 1 } }]);
    const losses = await readEvents("--type", "worker_lost");
    expect(losses.map((event) => "workerId" in event && event.workerId).sort()).toEqual(lost.sort());
    for (const event of losses) {
      if (event.type !== "worker_lost") continue;
      expect(Date.parse(event.at) - Date.parse(event.lastSeenAt)).toBeGreaterThan(timing.workerSilentMs);
      expect(event.tasks).toEqual(event.workerId === killed.workerId ? [{ jobId, task: "t", attempt: 1 }] : []);
    }

    asleep.process.child.kill("SIGCONT");
    await eventually(async () => (await readStates())[asleep.workerId] === "alive", "the return");
    await callApi(stack, `/v1/jobs/${jobId}/cancel`, {});
    for (const { process } of [asleep, last]) process.child.kill("SIGTERM");
    await eventually(async () => (await readPool())?.state === "crashed", "the crash of the pool");

    const next = await startWorker();
    await eventually(async () => (await readStates())[next.workerId] === "alive", "the next worker");
    expect((await readEvents("--limit", "1"))[0]).toMatchObject({ type: "scale_up", recoveredFrom: "crashed" });
    next.process.child.kill("SIGTERM");
    await eventually(async () => (await readPool())?.state === "scaled_down", "the end in order");
    // Each once, whoever looked.
    const told = await readEvents("--limit", "1000");
    expect(told.map(({ seq }) => seq)).toEqual(told.map((_, index) => index + 1));
    const kinds = told.flatMap((event) => (event.type === "scale_down" ? [event.kind] : []));
    expect(kinds.sort()).toEqual(["clean", "clean", "clean", "clean", "lost", "lost"]);
    const { workers } = await ask<{ workers: Worker[] }>("workers");
    expect(workers).toMatchObject([{ workerId: killed.workerId, state: "lost" }]);
  });
});

describe("a worker whose drain is taken back when its task has been told to end", () => {
  it("takes tasks again, loses and doubles nothing, and ends in order when it is to drain after all", async () => {
    const env = { SLUICE_DRAIN_FINISH_MS: "0", SLUICE_KILL_GRACE_MS: "20000", SLUICE_DRAIN_MS: "30000" };
    const { process, workerId } = await startWorker(0, env);
    const told = join(folder, "told");
    const go = join(folder, "go");
    const run = `trap 'touch ${told}' TERM; echo here; while [ ! -e ${go} ]; do sleep 0.1; done`;
    const jobId = await submit(stack, { name: "stubborn", steps: [step({ run })], tasks: [{ name: "t" }] });
    await eventually(async () => (await readTask(stack, jobId, "t")).status === "running", "the task");
    await ask("workers", "drain", workerId);
    await eventually(() => access(told).then(() => true), "the SIGTERM of the step");
    await ask("workers", "undrain", workerId);
    await eventually(async () => (await readStates())[workerId] === "alive", "the worker that goes on");
    await writeFile(go, "");
    expect(await waitForJob(stack, jobId)).toMatchObject({ status: "completed" });
    const { attempts } = await readTask(stack, jobId, "t");
    expect(attempts).toMatchObject([
      { workerId, outcome: { reason: { code: "drained" } } },
      { workerId, outcome: { state: "completed" } },
    ]);
    await ask("workers", "drain", workerId);
    expect(await process.exited).toEqual({ code: 0, signal: null });
    expect((await readEvents("--worker", workerId)).map(({ type }) => type)).toEqual([
      "worker_started",
      "scale_up",
      "drain_requested",
      "worker_draining",
      "undrain_requested",
      "worker_undrained",
      "drain_requested",
      "worker_draining",
      "worker_stopped",
      "scale_down",
    ]);
    const refused = await runCli(stack, ["workers", "undrain", workerId]);
    expect(refused.stderr).toContain(`worker ${workerId} has stopped`);
  });
});
