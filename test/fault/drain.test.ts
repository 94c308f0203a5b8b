import { readdir, writeFile } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import type { ContainerStepSpec, ProcessStepSpec } from "../../shared/jobfile/job-spec.ts";
import type { PhaseRow } from "../../workers/drain-phases.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { type BenchTimes, WorkerBench } from "../support/worker-bench.ts";
import { WorkerProcess } from "../support/worker-process.ts";

type Test = Pick<TestContext, "onTestFinished">;

/** Nothing comes back within a test by itself: what shows again was given back. */
const patient: BenchTimes = { heartbeatMs: 200, leaseMs: 60_000, visibilityTimeoutSeconds: 60 };
const clean = { code: 0, signal: null };
const hangingBucket: BenchTimes = { ...patient, s3Faults: [{ operation: "PutObject", kind: "timeout" }] };

function hostStep(run: string): ProcessStepSpec {
  return { kind: "process", name: "s", entry: { run }, env: {} };
}

function containerStep(run: string): ContainerStepSpec {
  return { kind: "container", name: "s", image: "busybox:stable", shipped: false, entry: { run }, env: {} };
}

/** A worker process with everything that it talks to. */
class Rig {
  readonly bench: WorkerBench;
  readonly worker: WorkerProcess;

  private constructor(bench: WorkerBench, worker: WorkerProcess) {
    this.bench = bench;
    this.worker = worker;
  }

  /** `before` makes the bench what the worker is to find. */
  static async open(
    { onTestFinished }: Test,
    env: Record<string, string> = {},
    { times = patient, before }: { times?: BenchTimes; before?: (bench: WorkerBench) => void } = {},
  ): Promise<Rig> {
    const bench = await WorkerBench.open(times);
    before?.(bench);
    const all = bench.workerEnv({ SLUICE_DRAIN_MS: "8000", SLUICE_KILL_GRACE_MS: "500", ...env });
    const worker = new WorkerProcess(all, onTestFinished);
    onTestFinished(async () => {
      worker.child.kill("SIGKILL");
      await worker.exited;
      await bench.close();
    });
    return new Rig(bench, worker);
  }

  /** Starts a task and waits until its step has said `up`. */
  async run(name: string, step: ProcessStepSpec | ContainerStepSpec): Promise<void> {
    await this.bench.send(this.bench.plane.addTask(name, { steps: [step] }));
    await eventually(async () => (await this.bench.readLog(name)).length > 0, `the first line of ${name}`);
  }

  async untilSaid(message: string): Promise<void> {
    await eventually(() => this.worker.text.includes(message), message);
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.worker.child.kill(signal);
  }

  /** Waits for a clean exit that has left nothing; answers the phases of the drain. */
  async expectCleanExit(): Promise<Record<string, PhaseRow>> {
    const phases = await this.expectExit();
    expect(await this.listFolders()).toEqual([]);
    return phases;
  }

  /** The same where there may have been no time to remove everything. */
  async expectExit(): Promise<Record<string, PhaseRow>> {
    expect(await this.worker.exited).toEqual(clean);
    const rows = this.worker.lines.find(({ message }) => message === "stopped")?.phases ?? [];
    return Object.fromEntries(rows.map((row) => [row.phase, row]));
  }

  async listFolders(): Promise<string[]> {
    return readdir(join(this.bench.folder, "work")).catch(() => []);
  }

  /** The task was given back, once, and may start elsewhere now. */
  async expectGivenBack(name: string): Promise<void> {
    const { attempts } = this.bench.plane.task(name);
    expect(attempts).toHaveLength(1);
    expect(attempts[0]?.result).toMatchObject({ kind: "released", reason: { code: "drained" } });
    expect(await this.bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
  }

  get lastBeat() {
    return this.bench.plane.heartbeats.at(-1);
  }
}

const stubborn = "trap '' TERM; echo up; while :; do sleep 0.1; done";
const slow = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.1; done";

describe.concurrent("a worker that is told to stop", { timeout: 120_000 }, () => {
  it("while it is idle goes at once, and says that it is gone", async (test) => {
    const rig = await Rig.open(test);
    await rig.worker.ready;
    rig.kill();
    const phases = await rig.expectCleanExit();
    expect(Object.values(phases).map(({ outcome }) => outcome)).not.toContain("late");
    expect(rig.lastBeat).toMatchObject({ state: "stopped", abandoned: [] });
  });

  it("lets a task finish, and leaves alone what comes meanwhile", async (test) => {
    const rig = await Rig.open(test);
    const marker = join(rig.bench.folder, "go");
    await rig.run("t", hostStep(`echo up; while [ ! -e ${marker} ]; do sleep 0.1; done`));
    rig.kill("SIGINT");
    await rig.untilSaid("draining");
    await rig.bench.send(rig.bench.plane.addTask("late", { steps: [hostStep("true")] }));
    await writeFile(marker, "");
    expect(await rig.expectCleanExit()).toMatchObject({ tasks: { outcome: "ok" }, results: { outcome: "ok" } });
    expect(rig.bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(rig.bench.plane.task("late").attempts).toEqual([]);
    expect(await rig.bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
  });

  it("gives back what does not finish in time, and what is claimed while it stops", async (test) => {
    const rig = await Rig.open(test, { SLUICE_DRAIN_FINISH_MS: "0" });
    await rig.run("t", hostStep(slow));
    const answer = rig.bench.plane.hold("claims");
    await rig.bench.send(rig.bench.plane.addTask("claimed", { steps: [hostStep("echo never")] }));
    await eventually(() => rig.bench.plane.task("claimed").attempts.length === 1, "the claim");
    rig.kill();
    await eventually(() => rig.bench.plane.task("t").attempts[0]?.result, "the end of the running task");
    answer();
    expect(await rig.expectCleanExit()).toMatchObject({ tasks: { outcome: "late" }, steps: { outcome: "ok" } });
    for (const name of ["t", "claimed"]) {
      expect(rig.bench.plane.task(name).attempts).toHaveLength(1);
      expect(rig.bench.plane.task(name).attempts[0]?.result).toMatchObject({ kind: "released" });
    }
    expect(await rig.bench.countMessages()).toMatchObject({ visible: 2, inFlight: 0 });
    expect(rig.lastBeat).toMatchObject({ state: "stopped", abandoned: [] });
  });

  it("gives tasks back at once, and its end does not wait for a bucket that hangs", async (test) => {
    const rig = await Rig.open(test, { SLUICE_DRAIN_FINISH_MS: "0" }, { times: hangingBucket });
    await rig.bench.send(rig.bench.plane.addTask("t", { steps: [hostStep(`echo up > $SLUICE_OUTPUT/f; ${slow}`)] }));
    await eventually(() => rig.bench.plane.heartbeats.some(({ attempts }) => attempts.length === 1), "the attempt");
    rig.kill();
    await eventually(() => rig.bench.plane.task("t").attempts[0]?.result, "the task given back");
    await eventually(async () => (await rig.bench.countMessages()).visible === 1, "its message");
    expect(rig.worker.lines.some(({ message }) => message === "stopped")).toBe(false);
    const late = { outcome: "late" };
    expect(await rig.expectCleanExit()).toMatchObject({ logs: late, artifacts: late, farewell: { outcome: "ok" } });
    await rig.expectGivenBack("t");
  });

  it("ends in time though the control plane is gone, and gives its messages back", async (test) => {
    const rig = await Rig.open(test, { SLUICE_DRAIN_MS: "4000", SLUICE_DRAIN_FINISH_MS: "0" });
    await rig.run("t", hostStep(slow));
    rig.bench.plane.setAvailable(false);
    rig.kill();
    expect(await rig.expectExit()).toMatchObject({
      results: { outcome: "late" },
      farewell: { outcome: "failed" },
      messages: { outcome: "ok" },
    });
    expect(rig.bench.plane.task("t").attempts[0]?.result).toBeUndefined();
    expect(await rig.bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
  });

  it("waits for the answer to a result that it has reported", async (test) => {
    const rig = await Rig.open(test);
    const answer = rig.bench.plane.hold("result");
    await rig.bench.send(rig.bench.plane.addTask("t", { steps: [hostStep("true")] }));
    await eventually(() => rig.bench.plane.outcome("t"), "the report");
    rig.kill();
    await rig.untilSaid("draining");
    answer();
    expect(await rig.expectCleanExit()).toMatchObject({ tasks: { outcome: "ok" }, results: { outcome: "ok" } });
    expect(await rig.bench.countMessages()).toMatchObject({ visible: 0, inFlight: 0 });
  });

  it("takes tasks again when it is not to drain after all; what runs just goes on", async (test) => {
    const rig = await Rig.open(test);
    const marker = join(rig.bench.folder, "go");
    await rig.run("t", hostStep(`echo up; while [ ! -e ${marker} ]; do sleep 0.1; done`));
    rig.bench.plane.drainWorkers();
    await rig.untilSaid("draining");
    await rig.bench.send(rig.bench.plane.addTask("next", { steps: [hostStep("true")] }));
    rig.bench.plane.drainWorkers(false);
    await eventually(() => rig.bench.plane.outcome("next"), "the next task");
    expect(rig.lastBeat).toMatchObject({ state: "alive" });
    await writeFile(marker, "");
    await eventually(() => rig.bench.plane.outcome("t"), "the running task");
    expect(rig.bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    rig.bench.plane.drainWorkers();
    await rig.expectCleanExit();
  });

  it("takes tasks again also when its tasks have been told to end, which end and run again", async (test) => {
    const rig = await Rig.open(test, {
      SLUICE_DRAIN_FINISH_MS: "0",
      SLUICE_KILL_GRACE_MS: "20000",
      SLUICE_DRAIN_MS: "30000",
    });
    const marker = join(rig.bench.folder, "go");
    const step = `trap 'echo told' TERM; echo up; while [ ! -e ${marker} ]; do sleep 0.1; done`;
    await rig.run("t", hostStep(step));
    rig.bench.plane.drainWorkers();
    await eventually(async () => (await rig.bench.readLog("t")).length > 1, "the SIGTERM of the step");
    rig.bench.plane.drainWorkers(false);
    await rig.untilSaid("the drain is undone");
    // Beside the one that still ends.
    await rig.bench.send(rig.bench.plane.addTask("next", { steps: [hostStep("true")] }));
    await eventually(() => rig.bench.plane.outcome("next"), "the next task");
    const { attempts } = rig.bench.plane.task("t");
    expect([attempts.length, attempts[0]?.result]).toEqual([1, undefined]);
    await writeFile(marker, "");
    await eventually(() => rig.bench.plane.outcome("t"), "the task that was given back");
    expect(attempts).toMatchObject([
      { result: { kind: "released", reason: { code: "drained" } } },
      { result: { kind: "ended", outcome: { state: "completed" } } },
    ]);
    rig.bench.plane.drainWorkers();
    expect(await rig.expectCleanExit()).toMatchObject({ workspaces: { outcome: "ok" } });
    expect(await rig.bench.countMessages()).toMatchObject({ visible: 0, inFlight: 0 });
    expect(rig.lastBeat).toMatchObject({ state: "stopped", abandoned: [] });
  });

  it("stays when its farewell is answered so, and ends for good when a signal comes meanwhile", async (test) => {
    const rig = await Rig.open(test);
    await rig.worker.ready;
    rig.bench.plane.farewells = "kept";
    rig.bench.plane.drainWorkers();
    await rig.untilSaid("the drain is undone");
    await rig.bench.send(rig.bench.plane.addTask("next", { steps: [hostStep("echo here")] }));
    await eventually(() => rig.bench.plane.outcome("next"), "the next task");
    rig.kill();
    await rig.expectCleanExit();
    expect(rig.lastBeat).not.toHaveProperty("mayStay");
  });

  it("goes by itself when it has had no task for as long as it may wait for one", async (test) => {
    const rig = await Rig.open(test, { SLUICE_IDLE_TIMEOUT: "1s" });
    await rig.expectCleanExit();
    expect(rig.worker.text).toContain("the worker had nothing to do");
  });
});

describe.concurrent("a worker that is told to stop while it starts", { timeout: 120_000 }, () => {
  it("goes before it can hear of it", async (test) => {
    const rig = await Rig.open(test);
    rig.kill();
    const { code, signal } = await rig.worker.exited;
    expect(signal ?? code).toBe(code === null ? "SIGTERM" : 0);
  });

  it("goes before it has found its control plane", async (test) => {
    const rig = await Rig.open(test, {}, { before: (bench) => bench.plane.setAvailable(false) });
    await rig.untilSaid("waiting for the control plane");
    rig.kill();
    await rig.expectCleanExit();
  });

  it("goes while it is being registered, and takes its registration along", async (test) => {
    const rig = await Rig.open(test, {}, { before: (bench) => void bench.plane.hold("workers") });
    await eventually(() => rig.bench.plane.registrations.length === 1, "the registration");
    rig.kill();
    await rig.expectCleanExit();
    expect(rig.lastBeat).toMatchObject({ state: "stopped" });
  });

  it("goes while it waits for a Docker that does not answer", async (test) => {
    const proxy = await DockerProxy.open(test);
    proxy.freeze();
    const rig = await Rig.open(test, { SLUICE_EXECUTORS: "docker", DOCKER_HOST: proxy.host });
    await eventually(() => proxy.connections > 0, "a connection");
    rig.kill();
    await rig.expectCleanExit();
  });
});

describe.concurrent("a worker that is told to stop twice", { timeout: 120_000 }, () => {
  it.for([
    ["while its tasks may finish", patient, {}, "draining"],
    ["while its steps have their grace period", patient, { SLUICE_DRAIN_FINISH_MS: "0" }, "draining"],
    ["while it uploads", hangingBucket, { SLUICE_DRAIN_FINISH_MS: "0" }, "an attempt ended"],
  ] as const)("goes at once %s, with exit code 143", async ([_when, times, env, sign], test) => {
    const rig = await Rig.open(test, { SLUICE_KILL_GRACE_MS: "2000", ...env }, { times });
    const step = times === hangingBucket ? slow : stubborn;
    await rig.bench.send(rig.bench.plane.addTask("t", { steps: [hostStep(step)] }));
    await eventually(() => rig.bench.plane.heartbeats.some(({ attempts }) => attempts.length === 1), "the attempt");
    rig.kill();
    await rig.untilSaid(sign);
    rig.kill();
    expect(await rig.worker.exited).toEqual({ code: 143, signal: null });
    expect(rig.worker.lines.some(({ message }) => message === "stopped")).toBe(false);
  });

  it("goes at once also when the signals differ, but not when one request brings both", async (test) => {
    const rig = await Rig.open(test, { SLUICE_DRAIN_MS: "20000" });
    await rig.run("t", hostStep(stubborn));
    rig.kill("SIGTERM");
    rig.kill("SIGINT");
    await rig.untilSaid("draining");
    // It still answers: its heartbeats go on.
    const beats = rig.bench.plane.heartbeats.length;
    await eventually(() => rig.bench.plane.heartbeats.length > beats + 5, "heartbeats for more than a second");
    await eventually(() => {
      rig.kill("SIGINT");
      return rig.worker.child.exitCode !== null;
    }, "the end");
    expect(await rig.worker.exited).toEqual({ code: 143, signal: null });
  });
});

/** A socket in front of Docker's that stops answering when it is told to. */
class DockerProxy {
  readonly host: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isFrozen = false;
  connections = 0;

  private constructor(path: string) {
    this.host = `unix://${path}`;
    this.#server = createServer((client) => this.#accept(client)).listen(path);
  }

  static async open({ onTestFinished }: Test): Promise<DockerProxy> {
    const proxy = new DockerProxy(join(tmpdir(), `sluice-docker-${process.pid}-${Math.random()}.sock`));
    onTestFinished(async () => {
      for (const socket of proxy.#sockets) socket.destroy();
      await new Promise((resolve) => proxy.#server.close(resolve));
    });
    return proxy;
  }

  freeze(): void {
    this.#isFrozen = true;
    for (const socket of this.#sockets) socket.pause().unpipe();
  }

  #accept(client: Socket): void {
    this.connections++;
    const daemon = connect("/var/run/docker.sock");
    for (const socket of [client, daemon]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        (socket === client ? daemon : client).destroy();
      });
    }
    if (this.#isFrozen) return;
    client.pipe(daemon);
    daemon.pipe(client);
  }
}

describe("a worker with containers that is told to stop", { timeout: 180_000 }, () => {
  it("kills what ignores SIGTERM, gives it back and leaves nothing in Docker", async (test) => {
    if (!(await needDocker(test))) return;
    const rig = await Rig.open(test, {
      SLUICE_EXECUTORS: "docker",
      SLUICE_DRAIN_FINISH_MS: "0",
      SLUICE_DRAIN_MS: "20000",
    });
    await rig.run("t", containerStep(stubborn));
    rig.kill();
    const phases = await rig.expectCleanExit();
    expect(phases).toMatchObject({ steps: { outcome: "ok" }, cleanup: { outcome: "ok" }, docker: { outcome: "ok" } });
    await rig.expectGivenBack("t");
    expect(await listLeftovers(`sluice.worker=${await rig.worker.ready}`)).toEqual([]);
  });

  it("ends in time though Docker hangs, says what it could not end, and the next worker clears up", async (test) => {
    if (!(await needDocker(test))) return;
    const proxy = await DockerProxy.open(test);
    const env = { SLUICE_EXECUTORS: "docker", SLUICE_DRAIN_FINISH_MS: "0", SLUICE_DRAIN_MS: "5000" };
    const rig = await Rig.open(test, { ...env, DOCKER_HOST: proxy.host });
    await rig.run("t", containerStep(stubborn));
    proxy.freeze();
    rig.kill();
    expect(await rig.worker.exited).toEqual(clean);
    const [attempt] = rig.bench.plane.task("t").attempts;
    expect(attempt?.result).toBeUndefined();
    expect(rig.lastBeat).toMatchObject({ state: "stopped", abandoned: [attempt?.attemptId] });
    const label = `sluice.worker=${await rig.worker.ready}`;
    expect(await listLeftovers(label)).not.toEqual([]);
    const next = new WorkerProcess(rig.bench.workerEnv({ SLUICE_EXECUTORS: "docker" }), test.onTestFinished);
    await eventually(async () => (await listLeftovers(label)).length === 0, "the remains to go");
    next.child.kill("SIGTERM");
    expect(await next.exited).toEqual(clean);
  });
});
