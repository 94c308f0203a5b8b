import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { LogPage } from "../../shared/api/log-schemas.ts";
import type { Task, Worker } from "../../shared/api/schemas.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { openBucket } from "../support/chaos/bucket-checks.ts";
import { type FaultStack, greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { listWorkers } from "../support/chaos/patient-api.ts";
import { listProcesses, type ProcessEntry } from "../support/chaos/processes.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { step } from "../support/jobs.ts";

const startStack = useFaultStacks();
const image = "busybox:stable";

/** Attempts before the one given stay until something ends them; that one completes. */
const stayUntilAttempt = (attempt: number) => `${greet}; [ "$SLUICE_ATTEMPT" -ge ${attempt} ] || sleep 1000`;

/** Waits until an attempt of a task runs, and answers on which worker. */
async function untilRunning(running: FaultStack, jobId: string, task: string, attempt: number): Promise<string> {
  return eventually(async () => {
    const found = await running.read<Task>(`/v1/jobs/${jobId}/tasks/${task}`);
    return found.status === "running" && found.attempt === attempt ? found.workerId : undefined;
  }, `attempt ${attempt} of ${task}`);
}

describe("a worker that is killed", () => {
  it("loses its task, of host processes or of containers, to another worker, with worker_lost on record and its log so far", {
    timeout: 240_000,
  }, async (context) => {
    if (!(await needDocker(context))) return;
    const running = await startStack({ workers: 3, slots: 1 });
    const plans = [
      planCompleting("killed", [step({ run: stayUntilAttempt(2) })], ["process"]),
      planCompleting("killed", [step({ run: stayUntilAttempt(2) }, image)], ["container"]),
    ];
    const jobs = await Promise.all(plans.map(async (plan) => ({ plan, jobId: await running.submit(plan) })));
    const victims = await Promise.all(
      jobs.map(async ({ plan, jobId }) => ({
        plan,
        jobId,
        workerId: await untilRunning(running, jobId, plan.tasks[0]?.name ?? "", 1),
      })),
    );
    const readLog = ({ jobId, plan }: (typeof victims)[number]) =>
      running.read<LogPage>(`/v1/jobs/${jobId}/tasks/${plan.tasks[0]?.name}/logs?attempt=1`);
    const stored = await Promise.all(
      victims.map((victim) =>
        eventually(async () => {
          const { lines } = await readLog(victim);
          return lines.length > 0 && lines;
        }, "a flush of the log"),
      ),
    );
    for (const { workerId } of victims) await running.signalWorker(workerId, "SIGKILL");
    for (const [index, { plan, jobId, workerId }] of victims.entries()) {
      const { tasks, events } = await running.expectSound(plan, jobId);
      const [first, second, ...more] = tasks[0]?.attempts ?? [];
      expect(more).toEqual([]);
      expect(first).toMatchObject({ workerId, outcome: { reason: { code: "worker_lost", fault: "infrastructure" } } });
      expect(first?.outcome?.reason?.detail).toContain(workerId);
      expect(second?.outcome).toMatchObject({ state: "completed", exitCode: 0 });
      expect(second?.workerId).not.toBe(workerId);
      const log = await readLog({ plan, jobId, workerId });
      expect(log).toMatchObject({ lines: stored[index], complete: true, endLost: true });
      const moves = events.flatMap((event) => (event.type === "task.transition" ? [`${event.from} ${event.to}`] : []));
      expect(moves).toEqual(["queued running", "running queued", "queued running", "running completed"]);
    }
  });
});

describe("a worker that gets SIGTERM in the middle of a task", () => {
  it("gives the task back, which goes on elsewhere, as often as it happens", { timeout: 240_000 }, async () => {
    // More often than infrastructure may fail under a task: what a drain ends does not count.
    const drains = 6;
    // A task has to sit through each: without Docker, which on a busy machine takes its time to let go.
    const env = { SLUICE_DRAIN_FINISH_MS: "0", SLUICE_KILL_GRACE_MS: "300", DOCKER_HOST: "unix:///none/docker.sock" };
    const running = await startStack({ workers: 2, slots: 1, env });
    const plan = planCompleting("drained", [step({ run: stayUntilAttempt(drains + 1) })], ["t"]);
    const jobId = await running.submit(plan);
    const drained: ProcessEntry[] = [];
    for (let attempt = 1; attempt <= drains; attempt++) {
      drained.push(await running.signalWorker(await untilRunning(running, jobId, "t", attempt), "SIGTERM"));
    }
    const { tasks } = await running.expectSound(plan, jobId);
    const attempts = tasks[0]?.attempts ?? [];
    expect(attempts).toHaveLength(drains + 1);
    for (const [index, { outcome, workerId }] of attempts.slice(0, drains).entries()) {
      expect(outcome).toMatchObject({ reason: { code: "drained" } });
      expect(attempts[index + 1]?.workerId).not.toBe(workerId);
    }
    expect(attempts.at(-1)?.outcome).toMatchObject({ state: "completed" });
    // The stack's own end is another SIGTERM: a worker that still drained would go at once and leave what it has.
    for (const worker of drained) await running.waitUntilGone(worker);
  });
});

describe("a worker that sleeps past its lease (SIGSTOP) and wakes up again", () => {
  it("changes nothing with what it still holds, and stops its processes and containers", {
    timeout: 300_000,
  }, async (context) => {
    if (!(await needDocker(context))) return;
    // One task on each of three workers; the fourth is there to take over.
    const running = await startStack({ workers: 4, slots: 1 });
    const { dataDir } = running.stack;
    // Ended with a failure while its worker slept, and running on: each would be told late.
    const asleep = join(dataDir, "asleep");
    const untilAsleep = `while [ ! -e "${asleep}" ]; do sleep 0.2; done`;
    const late = `${greet}; [ "$SLUICE_ATTEMPT" -ge 2 ] || { echo $$ > "${dataDir}/$SLUICE_TASK.pid"; ${untilAsleep}; exit 7; }`;
    const stays = `${greet}; [ "$SLUICE_ATTEMPT" -ge 2 ] || { echo $$ > "${dataDir}/$SLUICE_TASK.pid"; sleep 1000; }`;
    const plans = [
      planCompleting("late", [step({ run: late })], ["ended"]),
      planCompleting("stays", [step({ run: stays })], ["process"]),
      planCompleting("stays", [step({ run: stayUntilAttempt(2) }, image)], ["container"]),
    ];
    const jobs = await Promise.all(plans.map(async (plan) => ({ plan, jobId: await running.submit(plan) })));
    const sleepers = await Promise.all(
      jobs.map(async ({ plan, jobId }) => untilRunning(running, jobId, plan.tasks[0]?.name ?? "", 1)),
    );
    expect(new Set(sleepers).size).toBe(3);
    const readPid = (task: string) =>
      eventually(async () => Number(await readFile(join(dataDir, `${task}.pid`), "utf8")), `the pid of ${task}`);
    const [endedPid, processPid] = [await readPid("ended"), await readPid("process")];
    const firstAttempt = `sluice.attempt=${jobs[2]?.jobId}.0.container.1`;
    await eventually(async () => (await listLeftovers(firstAttempt)).length > 0, "the container");
    for (const workerId of sleepers) await running.signalWorker(workerId, "SIGSTOP");
    await writeFile(asleep, "");
    for (const { jobId } of jobs) expect(await running.waitForEnd(jobId)).toMatchObject({ status: "completed" });
    // They are only asleep: what they were doing goes on without them.
    await eventually(async () => !(await isAlive(endedPid)), "the end of the step that ends late");
    expect(await isAlive(processPid)).toBe(true);
    const before = await Promise.all(jobs.map(({ jobId }) => running.readRecord(jobId)));

    const wokenAt = new Date().toISOString();
    for (const workerId of sleepers) await running.signalWorker(workerId, "SIGCONT");
    await eventually(async () => !(await isAlive(processPid)), "the end of the host process");
    await eventually(async () => (await listLeftovers(firstAttempt)).length === 0, "the end of the container");
    await eventually(
      async () => hasNoWork(await listWorkers(running.stack, { deadlineMs: 10_000 }), sleepers, wokenAt),
      "idle heartbeats",
    );
    for (const workerId of sleepers) {
      const workspaces = async () =>
        (await readdir(join(dataDir, "work", workerId))).filter((name) => name !== "owner");
      await eventually(async () => (await workspaces()).length === 0, `the end of the workspaces of ${workerId}`);
    }
    const after = await Promise.all(jobs.map(({ plan, jobId }) => running.expectSound(plan, jobId)));
    expect(after).toEqual(before);
    const bucket = openBucket(running.stack);
    for (const { plan, jobId } of jobs) {
      expect(await bucket.objects.size(manifestKey(jobId, plan.tasks[0]?.name ?? "", 1))).toBeUndefined();
    }
    bucket.close();
  });
});

async function isAlive(pid: number): Promise<boolean> {
  return listProcesses().some((entry) => entry.pid === pid);
}

function hasNoWork(workers: readonly Worker[], workerIds: readonly string[], since: string): boolean {
  return workerIds.every((workerId) =>
    workers.some((worker) => worker.workerId === workerId && worker.lastSeenAt > since && worker.held === 0),
  );
}
