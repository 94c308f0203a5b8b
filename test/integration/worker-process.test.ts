import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { artifactKey } from "../../shared/domain/object-keys.ts";
import type { ContainerStepSpec, ProcessStepSpec, StepSpec } from "../../shared/jobfile/job-spec.ts";
import { killQuietly } from "../../workers/executors/process/stray-processes.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { type BenchTimes, benchJobId, WorkerBench } from "../support/worker-bench.ts";
import { WorkerProcess } from "../support/worker-process.ts";

function hostStep(run: string): ProcessStepSpec {
  return { kind: "process", name: "step 1", entry: { run }, env: {} };
}

function containerStep(run: string, name = "step 1"): ContainerStepSpec {
  return { kind: "container", name, image: "busybox:stable", shipped: false, entry: { run }, env: {} };
}

describe("a worker process", () => {
  let bench: WorkerBench;

  async function openBench(times?: BenchTimes): Promise<void> {
    bench = await WorkerBench.open(times);
  }
  beforeEach(async () => {
    await openBench({ heartbeatMs: 200, leaseMs: 3_000, visibilityTimeoutSeconds: 3 });
  });
  afterEach(() => bench.close());

  async function startWorker(more: Record<string, string> = {}): Promise<WorkerProcess> {
    const worker = new WorkerProcess(bench.workerEnv({ SLUICE_KILL_GRACE_MS: "500", ...more }));
    await worker.ready;
    return worker;
  }

  const workFolders = () => readdir(join(bench.folder, "work"));

  it("tells every problem of its environment and exits with 2", async () => {
    const worker = new WorkerProcess({ PATH: "/bin", SLUICE_URL: "nowhere", SLUICE_SLOTS: "none" });
    expect(await worker.exited).toEqual({ code: 2, signal: null });
    expect(worker.text.trim().split("\n").sort()).toEqual([
      expect.stringContaining("SLUICE_SLOTS is a whole number"),
      expect.stringContaining("SLUICE_TOKEN is missing"),
      expect.stringContaining("SLUICE_URL is an http:// or https:// URL"),
    ]);
  });

  it("drains at SIGTERM, leaves nothing, and exits with 0", async () => {
    const worker = await startWorker();
    await bench.send(bench.plane.addTask("t", { steps: [hostStep("echo up; sleep 0.5; echo done")] }));
    await eventually(() => bench.plane.task("t").attempts.length === 1, "the claim");
    worker.child.kill("SIGTERM");
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(await workFolders()).toEqual([]);
  });

  it("exits with 143 at once at a second SIGTERM, and takes its processes along", async () => {
    const worker = await startWorker();
    const pidFile = join(bench.folder, "pid");
    await bench.send(bench.plane.addTask("t", { steps: [hostStep(`trap '' TERM; echo $$ > ${pidFile}; sleep 1000`)] }));
    const pid = Number(await eventually(() => readFile(pidFile, "utf8"), "the step"));
    worker.child.kill("SIGTERM");
    await eventually(() => worker.text.includes("draining"), "the drain");
    worker.child.kill("SIGTERM");
    expect(await worker.exited).toEqual({ code: 143, signal: null });
    await eventually(() => !killQuietly(pid, 0), "the end of the step");
  });

  it.each([
    ["it is killed", (worker: WorkerProcess) => worker.child.kill("SIGKILL"), { code: null, signal: "SIGKILL" }],
    ["its parent is gone", (worker: WorkerProcess) => worker.child.disconnect(), { code: 1, signal: null }],
  ] as const)("takes its processes along when %s, and the next one clears up and goes on", async (_name, end, exit) => {
    const worker = await startWorker();
    const pidFile = join(bench.folder, "pid");
    const run = `if [ $SLUICE_ATTEMPT = 1 ]; then sleep 1000 & echo $! > ${pidFile}; wait; fi; echo second`;
    await bench.send(bench.plane.addTask("t", { steps: [hostStep(run)] }));
    const pid = Number(await eventually(() => readFile(pidFile, "utf8"), "the step"));
    end(worker);
    expect(await worker.exited).toEqual(exit);
    await eventually(() => !killQuietly(pid, 0), "the end of the step");
    expect(await workFolders()).toHaveLength(1);
    const next = await startWorker();
    await eventually(() => bench.plane.outcome("t"), "the second attempt");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    await eventually(async () => (await workFolders()).join() === (await next.ready), "the dead one's folder to go");
    next.child.kill("SIGINT");
    expect(await next.exited).toEqual({ code: 0, signal: null });
    expect(await workFolders()).toEqual([]);
  });

  it("leaves the folder of a living sibling alone", async () => {
    const first = await startWorker();
    const second = await startWorker();
    await eventually(async () => (await workFolders()).length === 2, "two folders");
    const third = await startWorker();
    expect((await workFolders()).sort()).toEqual([await first.ready, await second.ready, await third.ready].sort());
  });

  it("waits for no CPU when idle", async () => {
    const worker = await startWorker();
    const readTicks = async () => {
      const stat = await readFile(`/proc/${worker.child.pid}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    await eventually(() => bench.plane.heartbeats.length > 3, "some heartbeats");
    const [beats, ticks] = [bench.plane.heartbeats.length, await readTicks()];
    await eventually(() => bench.plane.heartbeats.length >= beats + 10, "two seconds of heartbeats");
    // Ticks are 10 ms: at five heartbeats a second far less than a tenth of a core.
    expect((await readTicks()) - ticks).toBeLessThan(20);
  });
});

describe("a worker process with Docker", () => {
  let bench: WorkerBench;
  const workerIds = new Set<string>();

  beforeEach(async (context) => {
    await needDocker(context);
    bench = await WorkerBench.open({ heartbeatMs: 300, leaseMs: 5_000, visibilityTimeoutSeconds: 5 });
    workerIds.clear();
  });
  afterEach(async () => {
    await bench.close();
    for (const workerId of workerIds) expect(await listLeftovers(`sluice.worker=${workerId}`)).toEqual([]);
  });

  async function startWorker(more: Record<string, string> = {}): Promise<WorkerProcess> {
    const env = bench.workerEnv({ SLUICE_EXECUTORS: "docker,process", SLUICE_KILL_GRACE_MS: "1000", ...more });
    const worker = new WorkerProcess(env);
    workerIds.add(await worker.ready);
    return worker;
  }

  async function stopWorker(worker: WorkerProcess): Promise<void> {
    worker.child.kill("SIGTERM");
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    // Samples of a dead worker that there was no time to store are for the next one.
    expect((await readdir(join(bench.folder, "work"))).filter((name) => !name.endsWith(".wal"))).toEqual([]);
  }

  it("keeps what tasks had written that ran out of memory or of time", async () => {
    const worker = await startWorker({ SLUICE_SLOTS: "2" });
    const write = "umask 077; echo kept > $SLUICE_OUTPUT/f;";
    const resources = { memoryBytes: 32 * 1024 * 1024 };
    await bench.send(
      bench.plane.addTask("hungry", { steps: [containerStep(`${write} exec tail /dev/zero`)], resources }),
      // Long enough for a container to begin on a busy machine.
      bench.plane.addTask("slow", { steps: [containerStep(`${write} exec sleep 1000`)], timeoutMs: 10_000 }),
    );
    const ends = { hungry: ["failed", "out_of_memory"], slow: ["timed_out", "timed_out"] } as const;
    for (const [task, [state, code]] of Object.entries(ends)) {
      await eventually(() => bench.plane.outcome(task), `the end of ${task}`);
      expect(bench.plane.outcome(task)).toMatchObject({ state, reason: { code, fault: "user" } });
      const stored = await bench.objects.get(artifactKey(benchJobId, task, 1));
      expect(zstdDecompressSync(Buffer.from(stored ?? [])).toString("latin1")).toMatch(/^f\0[\s\S]*\0kept\n\0/);
      expect(bench.plane.task(task).attempts[0]?.result).toMatchObject({ artifacts: [{ name: `${task}.tar.zst` }] });
    }
    await stopWorker(worker);
  });

  it("runs containers and host processes of one task on one workspace", async () => {
    const worker = await startWorker();
    const steps: StepSpec[] = [
      containerStep(
        "echo from the container > $SLUICE_SHARED/x; echo in $SLUICE_WORKSPACE; mkdir -m 700 /sluice/private",
      ),
      { ...hostStep('cat "$SLUICE_SHARED/x"'), name: "step 2" },
      containerStep("cat /alfred/shared/x >&2; echo kept > $SLUICE_OUTPUT/kept; exit 42", "step 3"),
    ];
    await bench.send(bench.plane.addTask("t", { steps }));
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "failed", exitCode: 42, warning: true });
    const words = await Promise.all([1, 2, 3].map(async (index) => (await bench.readLog("t", index))[0]?.text));
    expect(words).toEqual(["in /sluice", "from the container", "from the container"]);
    expect(await bench.listAttempt("t")).toContain("artifact.tar.zst");
    await stopWorker(worker);
  });

  it("cancels a container: SIGTERM to all of it, then SIGKILL, logs and output kept", async () => {
    const worker = await startWorker();
    const run = "echo before; echo kept > $SLUICE_OUTPUT/f; trap 'echo asked' TERM; while :; do sleep 0.1; done";
    await bench.send(bench.plane.addTask("t", { steps: [containerStep(run)] }));
    await eventually(async () => (await bench.readLog("t")).length > 0, "the first line");
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "aborted", reason: { code: "cancelled" } });
    const words = (await bench.readLog("t")).map((line) => line.text).filter((text) => text !== "Terminated");
    expect(words).toEqual(["before", "asked"]);
    expect(await bench.listAttempt("t")).toContain("artifact.tar.zst");
    await stopWorker(worker);
  });

  it("gives containers back at a drain that is too short for them", async () => {
    const worker = await startWorker({ SLUICE_DRAIN_MS: "6000" });
    await bench.send(bench.plane.addTask("t", { steps: [containerStep("echo up; sleep 1000")] }));
    await eventually(async () => (await bench.readLog("t")).length === 1, "the container");
    await stopWorker(worker);
    expect(bench.plane.task("t").attempts).toHaveLength(1);
    expect(bench.plane.task("t").attempts[0]?.result).toMatchObject({ kind: "released", reason: { code: "drained" } });
    expect(await bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
  });

  it("is killed in the middle of containers: the next one removes them and the tasks go on", async () => {
    const worker = await startWorker();
    const run = "if [ $SLUICE_ATTEMPT = 1 ]; then echo first; sleep 1000; fi; echo again";
    const names = ["a", "b"];
    await bench.send(...names.map((name) => bench.plane.addTask(name, { steps: [containerStep(run)] })));
    await eventually(async () => (await bench.readLog("a")).length + (await bench.readLog("b")).length === 2, "both");
    worker.child.kill("SIGKILL");
    await worker.exited;
    const [deadId] = workerIds;
    expect((await listLeftovers(`sluice.worker=${deadId}`)).length).toBeGreaterThanOrEqual(4);
    const next = await startWorker();
    await eventually(() => names.every((name) => bench.plane.outcome(name)), "both results");
    await eventually(async () => (await listLeftovers(`sluice.worker=${deadId}`)).length === 0, "the remains to go");
    for (const name of names) {
      expect(bench.plane.task(name).attempts).toHaveLength(2);
      expect((await bench.readLog(name, 1, 2)).map((line) => line.text)).toEqual(["again"]);
    }
    await stopWorker(next);
  });

  it("starts without Docker, says so in the reason of a container step, and still runs host processes", async () => {
    const worker = await startWorker({ DOCKER_HOST: `unix://${join(tmpdir(), "no-such-docker.sock")}` });
    await bench.send(bench.plane.addTask("c", { steps: [containerStep("true")] }));
    await bench.send(bench.plane.addTask("p", { steps: [hostStep("true")] }));
    await eventually(() => bench.plane.outcome("c") && bench.plane.outcome("p"), "both results");
    expect(bench.plane.outcome("p")).toMatchObject({ state: "completed" });
    expect(bench.plane.outcome("c")).toMatchObject({
      state: "failed",
      reason: { code: "internal", detail: expect.stringContaining("Docker is not reachable on this worker") },
    });
    await stopWorker(worker);
  });
});
