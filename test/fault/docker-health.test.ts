import { existsSync } from "node:fs";
import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ContainerStepSpec } from "../../shared/jobfile/job-spec.ts";
import { openBench, startWorker } from "../support/bench-worker.ts";
import { startOwnDocker } from "../support/chaos/own-docker.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { WorkerProcess } from "../support/worker-process.ts";

const dataMegabytes = 64;

function step(run: string): ContainerStepSpec {
  return { kind: "container", shipped: false, name: "step 1", image: "busybox:stable", entry: { run }, env: {} };
}

describe("a worker whose Docker daemon is frozen, full, stopped", () => {
  it("takes no tasks meanwhile, goes on when it is mended, and leaves for good when it is not", {
    timeout: 240_000,
  }, async (context) => {
    const docker = (await needDocker(context)) && (await startOwnDocker(context, dataMegabytes));
    if (!docker) return;
    const bench = await openBench({ heartbeatMs: 1_000, leaseMs: 30_000, visibilityTimeoutSeconds: 30 });
    const { plane } = bench;
    const [asked, restarted] = [join(bench.folder, "asked"), join(bench.folder, "restarted")];
    const env = {
      SLUICE_EXECUTORS: "docker",
      SLUICE_HEALTH_PROBE_MS: "1000",
      SLUICE_HEALTH_DEADLINE_MS: "3000",
      SLUICE_UNHEALTHY: "drain",
    };
    const restart = `touch ${asked}; until [ -e ${restarted} ]; do sleep 0.1; done`;
    const own = { DOCKER_HOST: docker.host, SLUICE_DOCKER_RESTART_COMMAND: restart };
    const worker = new WorkerProcess(bench.workerEnv({ ...env, ...own }));
    const workerId = await worker.ready;
    const health = () => plane.lastBeat(workerId)?.health;
    const isWell = () => ["healthy", "recovered"].includes(health()?.state ?? "");
    const send = (name: string, run: string) => bench.send(plane.addTask(name, { steps: [step(run)] }));
    const isCompleted = (name: string) => () => plane.outcome(name)?.state === "completed";
    await send("before", "true");
    await eventually(isCompleted("before"), "a task");

    // Frozen: what it is asked hangs. Another worker has the work; a restart, which is allowed here, thaws it.
    await docker.signalDaemon("SIGSTOP");
    await eventually(() => existsSync(asked), "the command that restarts Docker");
    await eventually(() => health()?.attempt === 2, "the heartbeat that tells of it");
    expect(health()).toMatchObject({ state: "recovering", detail: expect.stringContaining("3000 ms") });
    expect(plane.lastBeat(workerId)?.slotsFree).toBe(0);
    const other = await startWorker(bench, { env: { ...env, SLUICE_WORK_DIR: join(bench.folder, "other") } });
    await send("frozen", "true");
    await eventually(isCompleted("frozen"), "a task elsewhere");
    expect(plane.task("frozen").attempts.map((attempt) => attempt.workerId)).toEqual([other.workerId]);
    await other.drain({ kind: "signal", signal: "SIGTERM" });
    await docker.signalDaemon("SIGCONT");
    await writeFile(restarted, "");
    await eventually(isWell, "the thawed daemon's worker");

    // Full: it waits for its tasks to end and somebody to make room.
    await send("runs", "sleep 1000");
    await eventually(() => plane.lastBeat(workerId)?.attempts.length === 1, "a task that runs");
    const { bavail, bsize } = await statfs(docker.dataDir);
    const big = join(docker.dataDir, "big");
    await writeFile(big, Buffer.alloc(bavail * bsize - 600_000));
    await eventually(() => health()?.detail?.includes("the disk is full"), "a full disk");
    await send("waits", "true");
    await rm(big);
    await eventually(isCompleted("waits"), "a task that waited for room");
    plane.cancel("runs");
    await eventually(() => plane.outcome("runs"), "the end of the task that ran");

    // Stopped for good: the worker leaves, and its exit code asks for another machine.
    await docker.endDaemon("SIGTERM");
    expect(await worker.exited).toEqual({ code: 69, signal: null });
    expect(plane.lastBeat(workerId)).toMatchObject({
      state: "stopped",
      health: { state: "recovery_failed" },
      drainCause: { kind: "unhealthy" },
    });
  });
});
