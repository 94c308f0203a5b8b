import Docker from "dockerode";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { createObjectStore } from "../../shared/clients/object-store.ts";
import { createQueue } from "../../shared/clients/queue.ts";
import { manifestSchema } from "../../shared/domain/manifest.ts";
import { manifestKey, serviceLogPrefix } from "../../shared/domain/object-keys.ts";
import { type ContainerStepSpec, jobSpecSchema } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { parseConfig } from "../../workers/config.ts";
import { createControlPlaneClient } from "../../workers/control-plane-client.ts";
import { Worker } from "../../workers/worker.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { ensureRedisImage } from "../support/docker-images.ts";
import { eventually } from "../support/eventually.ts";
import { benchJobId, WorkerBench } from "../support/worker-bench.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });
const docker = new Docker();

type ServiceInput = Record<string, unknown>;

const busybox = { image: "busybox:stable" };
const redis = { image: "redis:7", health: { check: { kind: "cmd", command: ["redis-cli", "ping"] } } };
/** Answers with its own name on the port that all services of these tests use. */
const web = (text: string) => ({
  ...busybox,
  command: ["sh", "-c", `mkdir /w; echo ${text} > /w/ready; exec httpd -f -p 8080 -h /w`],
  health: { check: { kind: "http", port: 8080, path: "/ready" } },
});

/** Never becomes healthy: nobody listens there. */
const deaf = (health: Record<string, unknown>) => ({
  ...busybox,
  command: ["sh", "-c", "echo listening to nothing; exec sleep 600"],
  health: { check: { kind: "tcp", port: 9 }, ...health },
});

function step(run: string, more: Partial<ContainerStepSpec> = {}): ContainerStepSpec {
  return { kind: "container", name: "step 1", shipped: false, entry: { run }, env: {}, ...busybox, ...more };
}

/** More than the services of the other tests print. */
const serviceLogBytes = 100_000;

describe("services of a task", () => {
  let bench: WorkerBench;
  let worker: Worker | undefined;

  beforeEach(async (context) => {
    if (await needDocker(context)) await startOnce();
  });
  beforeAll(async () => {
    bench = await WorkerBench.open({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
  });
  afterAll(async () => {
    await worker?.drain({ kind: "signal", signal: "SIGTERM" });
    await bench.close();
    // A machine with much to do may not remove everything within the time of the drain; it goes on.
    const label = `sluice.worker=${worker?.workerId}`;
    await eventually(async () => (await listLeftovers(label)).length === 0, "nothing left in Docker");
  });

  async function startOnce(): Promise<void> {
    if (worker !== undefined) return;
    await ensureRedisImage(docker);
    const env = bench.workerEnv({
      SLUICE_EXECUTORS: "docker",
      SLUICE_KILL_GRACE_MS: "1000",
      SLUICE_SLOTS: "3",
      SLUICE_DRAIN_MS: "5000",
      SLUICE_SERVICE_LOG_BYTES: `${serviceLogBytes}`,
    });
    const parsed = parseConfig(env, { cores: 2, cwd: "/" });
    if (!parsed.ok) throw new Error(parsed.problems.join());
    const { config } = parsed;
    worker = new Worker({
      config,
      version: "0.0.0",
      client: createControlPlaneClient(config.controlPlaneUrl, config.token),
      openQueue: (url) => createQueue(bench.createSqsClient(), url),
      openBucket: (bucket) => createObjectStore(bench.createS3Client(), bucket),
      log,
      maskedLog: { add: () => () => undefined },
    });
    await worker.start();
  }

  async function send(
    task: string,
    services: Record<string, ServiceInput>,
    run: string,
    more: Partial<ClaimedTask> = {},
  ) {
    const job = { name: "job", services, steps: [step(run)], tasks: [{ name: "x" }] };
    const spec = jobSpecSchema.parse(job);
    await bench.send(bench.plane.addTask(task, { services: spec.services, steps: spec.steps, ...more }));
  }

  const outcomeOf = (task: string) => eventually(() => bench.plane.outcome(task), `the end of ${task}`);

  async function readServiceLog(task: string, service: string): Promise<string[]> {
    const lines = await bench.readLogUnder(serviceLogPrefix(benchJobId, task, 1, service));
    return lines.map(({ text }) => text);
  }

  async function readLog(task: string): Promise<string[]> {
    return (await bench.readLog(task)).map(({ text }) => text);
  }

  async function readManifest(task: string) {
    const stored = await bench.objects.get(manifestKey(benchJobId, task, 1));
    return manifestSchema.parse(JSON.parse(Buffer.from(stored ?? []).toString("utf8")));
  }

  it("are reached by name from steps and from each other, whatever says that they are healthy", async () => {
    const services = {
      redis: { ...redis, command: ["redis-server", "--save", "", "--protected-mode", "no"], tmpfs: ["/data:size=8m"] },
      one: web("one"),
      // It cannot be up before the other one is, as it asks it; its port is the other's too.
      two: {
        ...web("two"),
        env: { GREETING: "two is up" },
        command: [
          "sh",
          "-c",
          `until wget -qO- one:8080/ready 2>&1; do sleep 0.1; done; mkdir /w; echo two > /w/ready
          mount | sed -n 's/^tmpfs on \\(.data\\) .*[(,]\\(size=[^,]*,mode=[0-7]*\\).*/\\1 \\2/p'
          echo "$GREETING"; exec httpd -f -p 8080 -h /w`,
        ],
        tmpfs: ["/data:size=1m,mode=0750"],
        health: { check: { kind: "log", text: "two is up" } },
      },
    };
    const script = `wget -qO- http://one:8080/ready; until wget -qO- http://two:8080/ready; do sleep 0.1; done
      printf 'PING\\r\\n' | nc -w 2 redis 6379 | head -n 1`;
    await send("names", services, script);
    expect(await outcomeOf("names")).toEqual({ state: "completed", exitCode: 0 });
    expect((await readLog("names")).filter((line) => !line.includes("refused"))).toEqual(["one", "two", "+PONG\r"]);
    const data = "/data size=1024k,mode=750";
    expect((await readServiceLog("names", "two")).slice(-3)).toEqual(["one", data, "two is up"]);
    const { logs } = await readManifest("names");
    expect(logs.map(({ step: index, service }) => service ?? index).sort()).toEqual([1, "one", "redis", "two"]);
    expect((await readServiceLog("names", "redis")).join("\n")).toMatch(/Ready to accept[\s\S]*bye bye/);
  });

  it("fail their task with their own last words when they do not become healthy", async () => {
    await send("deaf", { deaf: deaf({ intervalMs: 50, retries: 2 }) }, "echo never");
    const { reason, ...outcome } = await outcomeOf("deaf");
    expect(outcome).toEqual({ state: "failed" });
    expect(reason).toMatchObject({ code: "service_unhealthy", fault: "user" });
    expect(reason?.detail).toMatch(
      /^service deaf did not become healthy: no connection to port 9: .*ECONNREFUSED.* \(started 3 times\)\. Its last log lines:\nlistening to nothing$/,
    );
    const lines = await readServiceLog("deaf", "deaf");
    expect(lines.filter((line) => line === "listening to nothing")).toHaveLength(3);
    expect(lines.filter((line) => line.startsWith("sluice: service deaf did not become healthy"))).toHaveLength(2);
    expect(lines.at(-2)).toMatch(/it is started again \(3 of 3\)$/);
    expect((await readManifest("deaf")).logs).toMatchObject([{ service: "deaf", lines: 5 }]);
  });

  it("are ready once they run where nothing else is said; their end is told all the same", async () => {
    await send("nope", { nope: { ...busybox, command: ["no-such-program"] } }, "sleep 600");
    expect((await outcomeOf("nope")).reason).toMatchObject({
      code: "service_unhealthy",
      detail: expect.stringMatching(/^service nope ended with exit code 127 while .*\n.*no-such-program/),
    });
  });

  it("end the step that runs when one of them ends", async () => {
    const mortal = {
      ...busybox,
      command: ["sh", "-c", "echo up; nc -l -p 8080 >/dev/null; echo going; exit 3"],
      health: { check: { kind: "log", text: "up" } },
    };
    const run =
      "trap 'echo told; exit 0' TERM; until nc mortal 8080 </dev/null; do sleep 0.1; done; while :; do sleep 0.1; done";
    await send("mortal", { mortal }, run);
    expect(await outcomeOf("mortal")).toMatchObject({
      state: "failed",
      reason: {
        code: "service_unhealthy",
        detail: "service mortal ended with exit code 3 while the task needed it. Its last log lines:\nup\ngoing",
      },
    });
    expect(await readLog("mortal")).toContain("told");
    expect(await readServiceLog("mortal", "mortal")).toEqual(["up", "going"]);
  });

  it("go on where their log is at its limit, which says so: they can still become healthy, and tell their last words", async () => {
    const loud = {
      ...busybox,
      command: ["sh", "-c", "yes loud | head -c 300000; echo up; nc -l -p 8080 >/dev/null; echo last words; exit 3"],
      health: { check: { kind: "log", text: "up" } },
    };
    await send("loud", { loud }, "until nc loud 8080 </dev/null; do sleep 0.1; done; while :; do sleep 0.1; done");
    const { reason } = await outcomeOf("loud");
    expect(reason?.detail).toMatch(/^service loud ended with exit code 3 .*\n(?:loud\n)*up\nlast words$/);
    const lines = await readServiceLog("loud", "loud");
    const notice = `sluice: the log of this service ends here, at its limit of ${serviceLogBytes} bytes; the service goes on`;
    expect([lines.length, lines[0], lines.at(-1)]).toEqual([serviceLogBytes / 5 + 1, "loud", notice]);
    const droppedBytes = 300_000 + "up\nlast words\n".length - serviceLogBytes;
    expect((await readManifest("loud")).logs).toContainEqual(
      expect.objectContaining({ service: "loud", droppedBytes }),
    );
  });

  it("are not waited for any more when the task is cancelled, times out or loses its lease", async () => {
    const services = { slow: deaf({ intervalMs: 600_000, startPeriodMs: 600_000 }) };
    const isUp = (task: string) =>
      eventually(async () => (await readServiceLog(task, "slow")).length > 0, `the service of ${task}`);
    const tasks = ["cancelled", "late", "lost"];
    await Promise.all(
      tasks.map((task) => send(task, services, "echo never", task === "late" ? { timeoutMs: 1_500 } : {})),
    );
    await Promise.all([isUp("cancelled"), isUp("lost")]);
    bench.plane.cancel("cancelled");
    bench.plane.loseLease("lost");
    expect(await outcomeOf("cancelled")).toMatchObject({ state: "aborted", reason: { code: "cancelled" } });
    expect(await outcomeOf("late")).toMatchObject({
      state: "timed_out",
      reason: { code: "timed_out", detail: expect.stringMatching(/timeout of 2s: its first step still waited for /) },
    });
    expect(await readServiceLog("cancelled", "slow")).toEqual(["listening to nothing"]);
    for (const task of tasks) {
      const { attemptId } = bench.plane.task(task).attempts[0] ?? {};
      await eventually(async () => (await listLeftovers(`sluice.attempt=${attemptId}`)).length === 0, `no ${task}`);
    }
  });

  it("belong to one task: another one at the same time has its own of the same name and port", async () => {
    const own = "wget -qO- http://web:8080/ready";
    const waits = "while :; do sleep 0.1; done";
    const tellAddress = "nslookup web 127.0.0.11 | sed -n 's/^Address: \\([0-9.]*\\)$/\\1/p'";
    const plain = { web: { ...web("of the left"), health: { check: { kind: "tcp", port: 8080 } } } };
    await send("left", plain, `${tellAddress}; ${own}; ${waits}`);
    const address = await eventually(async () => (await readLog("left"))[0], "the left one's address");
    const reach = `nc -w 1 ${address} 8080 </dev/null 2>/dev/null && echo reached || echo isolated`;
    await send("right", { web: web("of the right") }, `${reach}; ${own}; ${waits}`);
    await eventually(async () => (await readLog("right")).length === 2, "the right one's log");
    expect(address).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(await readLog("left")).toEqual([address, "of the left"]);
    expect(await readLog("right")).toEqual(["isolated", "of the right"]);
    for (const task of ["left", "right"]) bench.plane.cancel(task);
    expect(await outcomeOf("left")).toMatchObject({ state: "aborted" });
    expect(await outcomeOf("right")).toMatchObject({ state: "aborted" });
    expect((await readManifest("right")).logs).toMatchObject([{ step: 1 }, { service: "web" }]);
  });
});
