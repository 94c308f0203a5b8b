import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { zstdDecompressSync } from "node:zlib";
import { extract } from "tar-stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { createObjectStore, type ObjectStore } from "../../shared/clients/object-store.ts";
import { createQueue } from "../../shared/clients/queue.ts";
import { type Manifest, manifestSchema } from "../../shared/domain/manifest.ts";
import { artifactKey, manifestKey } from "../../shared/domain/object-keys.ts";
import type { ProcessStepSpec } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { parseConfig } from "../../workers/config.ts";
import { createControlPlaneClient } from "../../workers/control-plane-client.ts";
import { Worker } from "../../workers/worker.ts";
import { eventually } from "../support/eventually.ts";
import { type BenchTimes, benchJobId, WorkerBench } from "../support/worker-bench.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });

function step(run: string, more: Partial<ProcessStepSpec> = {}): ProcessStepSpec {
  return { kind: "process", name: more.name ?? "step 1", entry: { run }, env: {}, ...more };
}

async function openBench(times?: BenchTimes): Promise<WorkerBench> {
  const bench = await WorkerBench.open(times);
  onTestFinished(() => bench.close());
  return bench;
}

interface WorkerOverrides {
  env?: Record<string, string>;
  objects?: (objects: ObjectStore) => ObjectStore;
  onAwsRequest?: (name: string) => void;
}

function createWorker(bench: WorkerBench, overrides: WorkerOverrides = {}): Worker {
  const env = bench.workerEnv({ SLUICE_KILL_GRACE_MS: "300", SLUICE_DRAIN_MS: "3000", ...overrides.env });
  const parsed = parseConfig(env, { cores: 2, cwd: "/" });
  if (!parsed.ok) throw new Error(parsed.problems.join());
  const sqs = bench.createSqsClient();
  const s3 = bench.createS3Client();
  const count = (next: (args: unknown) => unknown, context: { commandName?: string }) => (args: unknown) => {
    overrides.onAwsRequest?.(String(context.commandName));
    return next(args);
  };
  sqs.middlewareStack.add(count as never, { step: "initialize" });
  s3.middlewareStack.add(count as never, { step: "initialize" });
  const worker = new Worker({
    config: parsed.config,
    version: "0.0.0",
    client: createControlPlaneClient(parsed.config.controlPlaneUrl, parsed.config.token),
    openQueue: (url) => createQueue(sqs, url),
    openBucket: (bucket) => {
      const objects = createObjectStore(s3, bucket);
      return overrides.objects?.(objects) ?? objects;
    },
    log,
    maskedLog: { add: () => () => undefined },
  });
  onTestFinished(async () => {
    await worker.drain("the test is over");
    sqs.destroy();
    s3.destroy();
    expect(await readdir(join(bench.folder, "work")).catch(() => [])).toEqual([]);
  });
  return worker;
}

async function startWorker(bench: WorkerBench, overrides: WorkerOverrides = {}): Promise<Worker> {
  const worker = createWorker(bench, overrides);
  await worker.start();
  return worker;
}

async function readManifest(bench: WorkerBench, task: string, attempt = 1): Promise<Manifest> {
  const stored = await bench.objects.get(manifestKey(benchJobId, task, attempt));
  return manifestSchema.parse(JSON.parse(Buffer.from(stored ?? []).toString("utf8")));
}

/** The log of a step without the shell's own remarks about signals. */
async function readWords(bench: WorkerBench, task: string): Promise<string[]> {
  const lines = await bench.readLog(task);
  return lines.map((line) => line.text).filter((text) => text !== "Terminated");
}

const queueIsEmpty = async (bench: WorkerBench) => {
  const { visible, inFlight } = await bench.countMessages();
  return visible + inFlight === 0;
};

describe("a worker's tasks", () => {
  it("end as their exit codes say, with manifest, log and result, and their messages are deleted", async () => {
    const bench = await openBench();
    const codes = { ok: 0, failures: 42, skipped: 43, error: 7 };
    for (const [name, code] of Object.entries(codes)) {
      await bench.send(bench.plane.addTask(name, { steps: [step(`echo this is ${name}; exit ${code}`)] }));
    }
    await startWorker(bench);
    await eventually(() => Object.keys(codes).every((name) => bench.plane.outcome(name)), "four results");
    expect(bench.plane.outcome("ok")).toEqual({ state: "completed", exitCode: 0 });
    expect(bench.plane.outcome("failures")).toMatchObject({ state: "failed", exitCode: 42, warning: true });
    expect(bench.plane.outcome("skipped")).toMatchObject({ state: "skipped", exitCode: 43 });
    expect(bench.plane.outcome("error")).toMatchObject({
      state: "failed",
      exitCode: 7,
      warning: false,
      reason: { code: "exit_code", detail: "step 1 exited with 7", fault: "user" },
    });
    const manifest = await readManifest(bench, "error");
    expect(manifest).toMatchObject({ v: 1, attempt: 1, outcome: bench.plane.outcome("error"), artifacts: [] });
    expect(manifest.logs).toMatchObject([{ step: 1, chunks: 1, lines: 1 }]);
    expect((await bench.readLog("ok")).map((line) => line.text)).toEqual(["this is ok"]);
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });

  it("run their steps in order, the first that fails ends them, and each has its own log", async () => {
    const bench = await openBench();
    const steps = [
      step("echo one > $SLUICE_SHARED/x; echo first", { name: "one" }),
      step("cat $SLUICE_SHARED/x >&2; exit 3", { name: "two" }),
      step("echo never", { name: "three" }),
    ];
    await bench.send(bench.plane.addTask("t", { steps }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "failed",
      exitCode: 3,
      reason: { detail: "two exited with 3" },
    });
    const { steps: results } = await readManifest(bench, "t");
    expect(results.map((result) => result.exitCode)).toEqual([0, 3, undefined]);
    expect(results[2]).toEqual({ index: 3, name: "three" });
    expect(await bench.readLog("t", 2)).toMatchObject([{ stream: "stderr", text: "one" }]);
    expect(await bench.listAttempt("t")).toHaveLength(3);
  });

  it("leave their output as an artifact that unpacks to the same files", async () => {
    const bench = await openBench();
    const run =
      "mkdir -p $SLUICE_OUTPUT/d; echo hello > $SLUICE_OUTPUT/d/a.txt; echo no > $SLUICE_OUTPUT/b.log; exit 1";
    await bench.send(bench.plane.addTask("t", { steps: [step(run)], artifacts: { paths: ["d/*.txt"] } }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the result");
    const [artifact] = (await readManifest(bench, "t")).artifacts;
    const archive = Buffer.from((await bench.objects.get(artifactKey(benchJobId, "t", 1))) ?? []);
    expect(artifact).toMatchObject({ name: "t.tar.zst", size: archive.length });
    const members: Record<string, string> = {};
    const reader = extract();
    Readable.from([zstdDecompressSync(archive)]).pipe(reader);
    for await (const entry of reader) {
      let text = "";
      for await (const piece of entry) text += piece;
      members[entry.header.name] = text;
    }
    expect(members).toEqual({ "d/a.txt": "hello\n" });
  });

  it("cost three requests of AWS where nothing is printed or kept, and fewer when they come together", async () => {
    const bench = await openBench({ heartbeatMs: 5_000, leaseMs: 30_000, visibilityTimeoutSeconds: 30 });
    const names = Array.from({ length: 20 }, (_, n) => `t${n}`);
    await bench.send(...names.map((name) => bench.plane.addTask(name, { steps: [step("true")] })));
    const requests: Record<string, number> = {};
    const onAwsRequest = (name: string) => {
      requests[name] = (requests[name] ?? 0) + 1;
    };
    await startWorker(bench, { env: { SLUICE_SLOTS: "10" }, onAwsRequest });
    await eventually(() => names.every((name) => bench.plane.outcome(name)), "all results");
    await eventually(() => queueIsEmpty(bench), "an empty queue");
    expect(requests.PutObjectCommand).toBe(20);
    expect(requests.ReceiveMessageCommand).toBeLessThanOrEqual(21);
    expect(requests.DeleteMessageBatchCommand).toBeLessThanOrEqual(20);
    const { PutObjectCommand, ReceiveMessageCommand, DeleteMessageBatchCommand, ...others } = requests;
    expect(others).toEqual({});
  });

  it("keep every line of a loud step, also one of a megabyte and bytes that are no text", async () => {
    const bench = await openBench();
    const script = [
      "seq 1 50000",
      "head -c 1000000 /dev/zero | tr '\\0' x; echo",
      "printf '\\377\\376ok\\n'",
      "printf end",
    ].join("; ");
    await bench.send(bench.plane.addTask("t", { steps: [step(script)] }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the result");
    const lines = await bench.readLog("t");
    expect(lines.slice(0, 50_000).map((line) => Number(line.text))).toEqual(
      Array.from({ length: 50_000 }, (_, n) => n + 1),
    );
    const text = lines
      .slice(50_000)
      .map((line) => line.text + (line.partial ? "" : "\n"))
      .join("");
    expect(text).toBe(`${"x".repeat(1_000_000)}\n\ufffd\ufffdok\nend`);
    const [summary] = (await readManifest(bench, "t")).logs;
    expect(summary).toMatchObject({ lines: lines.length });
  });

  it("can be read while they run, within the flush time", async () => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step("echo started; while :; do sleep 0.1; done")] }));
    await startWorker(bench);
    await eventually(async () => (await bench.readLog("t")).length === 1, "the first line");
    expect(bench.plane.outcome("t")).toBeUndefined();
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
  });

  it("fail with a sentence where the worker does not run such steps", async () => {
    const bench = await openBench();
    const steps = [{ kind: "container" as const, name: "c", image: "x", shipped: false, entry: null, env: {} }];
    await bench.send(bench.plane.addTask("t", { steps }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "failed",
      reason: { code: "internal", fault: "infrastructure", detail: expect.stringContaining("runs no containers") },
    });
  });
});

describe("a worker without room for workspaces", () => {
  it("fails the task with the system's words instead of keeping it to itself", async () => {
    const bench = await openBench();
    const worker = await startWorker(bench);
    // A file in the place of the worker's folder: nothing can be made in it, as on a full disk.
    const folder = join(bench.folder, "work", worker.workerId);
    await rm(folder, { recursive: true });
    await writeFile(folder, "");
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "failed",
      reason: { code: "internal", fault: "infrastructure", detail: expect.stringContaining("ENOTDIR") },
    });
  });
});

describe("a worker ends tasks early", () => {
  const loud =
    "echo before; echo kept > $SLUICE_OUTPUT/f; trap 'echo asked to end; exit 9' TERM; while :; do sleep 0.05; done";

  it.each([
    ["a cancel", "user", "aborted", "cancelled"],
    ["a job's timeout", "job_timeout", "timed_out", "timed_out"],
  ] as const)("at %s, and keeps logs and output up to the last line", async (_name, cause, state, code) => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step(loud), step("echo never")] }));
    await startWorker(bench);
    await eventually(async () => (await bench.readLog("t")).length > 0, "the first line");
    bench.plane.cancel("t", cause);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state, reason: { code, detail: expect.stringContaining(cause) } });
    expect(await readWords(bench, "t")).toEqual(["before", "asked to end"]);
    expect((await readManifest(bench, "t")).artifacts).toHaveLength(1);
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });

  it("at the task's timeout, and kills what ignores SIGTERM", async () => {
    const bench = await openBench();
    const stubborn = "trap '' TERM; echo on; while :; do sleep 0.05; done";
    await bench.send(bench.plane.addTask("t", { steps: [step(stubborn)], timeoutMs: 500 }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "timed_out",
      reason: { code: "timed_out", detail: "the task did not end within its timeout of 500ms" },
    });
    expect((await readManifest(bench, "t")).steps[0]).toMatchObject({ exitCode: 137 });
  });

  it("at a step's own timeout", async () => {
    const bench = await openBench();
    const steps = [step("sleep 1000", { timeoutMs: 200, name: "slow" }), step("echo never")];
    await bench.send(bench.plane.addTask("t", { steps }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "timed_out",
      reason: { detail: "slow did not end within its timeout of 200ms" },
    });
  });

  it("when the lease is lost: it stops at once, reports nothing and leaves the message alone", async () => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step('echo $$ > "$SLUICE_SHARED/pid"; sleep 1000')] }));
    await startWorker(bench);
    await eventually(() => bench.plane.task("t").attempts.length === 1, "the claim");
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length > 0), "a heartbeat");
    bench.plane.loseLease("t");
    // The message shows again by itself, and the next attempt runs; it is ended so that the test can end.
    await eventually(() => bench.plane.task("t").attempts.length === 2, "the second attempt");
    expect(bench.plane.task("t").attempts[0]?.result).toBeUndefined();
    expect(await bench.listAttempt("t", 1)).toEqual([]);
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
  });

  it("when the control plane is away for longer than a lease, by its own clock", async () => {
    const bench = await openBench({ heartbeatMs: 100, leaseMs: 1_000 });
    const marker = join(bench.folder, "alive");
    const run = `while :; do date +%s%N > ${marker}; sleep 0.02; done`;
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench);
    await eventually(() => readFile(marker, "utf8"), "the step");
    bench.plane.setAvailable(false);
    let last = "";
    await eventually(async () => {
      const now = await readFile(marker, "utf8");
      const stopped = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return stopped;
    }, "the step's end");
    expect(await bench.listAttempt("t")).toEqual([]);
    bench.plane.setAvailable(true);
    await eventually(() => bench.plane.task("t").attempts.length === 2, "the second attempt");
    bench.plane.cancel("t");
    await eventually(() => bench.plane.outcome("t"), "the end");
  });
});

describe("a worker's intake", () => {
  it("lets small tasks pass a big one that does not fit, and runs that as soon as it does", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    const gate = (name: string) => step(`echo ${name}; until [ -e ${bench.folder}/go-${name} ]; do sleep 0.02; done`);
    const open = (name: string) => writeFile(join(bench.folder, `go-${name}`), "");
    const claimed = (name: string) => bench.plane.task(name).attempts.length > 0;
    await startWorker(bench, { env: { SLUICE_SLOTS: "3" } });
    await bench.send(bench.plane.addTask("one", { steps: [gate("one")] }));
    await eventually(() => claimed("one"), "the first claim");
    await bench.send(bench.plane.addTask("big", { steps: [gate("big")], slots: 3 }));
    await eventually(async () => (await bench.countMessages()).inFlight === 2, "the big one to be held");
    await bench.send(bench.plane.addTask("two", { steps: [gate("two")] }));
    await eventually(() => claimed("two"), "the small one to pass");
    expect(claimed("big")).toBe(false);
    await Promise.all([open("one"), open("two")]);
    await eventually(() => claimed("big"), "the big one");
    await open("big");
    await eventually(() => bench.plane.outcome("big"), "its end");
  });

  it("never runs more tasks at once than it has slots, and runs them all", async () => {
    const bench = await openBench();
    const names = Array.from({ length: 24 }, (_, n) => `t${n}`);
    const run = `echo start >> ${bench.folder}/trace; sleep 0.05; echo end >> ${bench.folder}/trace`;
    await bench.send(...names.map((name) => bench.plane.addTask(name, { steps: [step(run)] })));
    await startWorker(bench, { env: { SLUICE_SLOTS: "3" } });
    await eventually(() => names.every((name) => bench.plane.outcome(name)), "all results");
    let running = 0;
    for (const line of (await readFile(join(bench.folder, "trace"), "utf8")).trim().split("\n")) {
      running += line === "start" ? 1 : -1;
      expect(running).toBeLessThanOrEqual(3);
    }
    expect(names.every((name) => bench.plane.task(name).attempts.length === 1)).toBe(true);
  });

  it("gives back what it can never run, leaves what is no task, deletes what is over", async () => {
    const bench = await openBench({ visibilityTimeoutSeconds: 30, leaseMs: 30_000 });
    const over = JSON.stringify({ v: 1, jobId: benchJobId, task: "unknown", bucket: 0, slots: 1 });
    await startWorker(bench);
    await bench.send(bench.plane.addTask("huge", { steps: [step("true")], slots: 99 }), "no json", over);
    // In flight stay the one that is no task and, for its delay, the one that is too big.
    await eventually(async () => (await bench.countMessages()).inFlight === 2, "the deletion of the third");
    expect(bench.plane.task("huge").attempts).toEqual([]);
  });

  it("keeps what it has taken while the control plane is away, without receiving it again and again", async () => {
    const bench = await openBench({ heartbeatMs: 100, leaseMs: 1_000, visibilityTimeoutSeconds: 1 });
    const requests: string[] = [];
    await startWorker(bench, { onAwsRequest: (name) => requests.push(name) });
    bench.plane.setAvailable(false);
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    await eventually(
      () => requests.filter((name) => name === "ChangeMessageVisibilityBatchCommand").length >= 4,
      "renewals",
    );
    expect(requests.filter((name) => name === "ReceiveMessageCommand").length).toBeLessThanOrEqual(2);
    bench.plane.setAvailable(true);
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.task("t").attempts).toHaveLength(1);
  });

  it("waits for a control plane that is not there yet", async () => {
    const bench = await openBench();
    bench.plane.setAvailable(false);
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    const worker = createWorker(bench);
    const started = worker.start();
    await new Promise((resolve) => setTimeout(resolve, 300));
    bench.plane.setAvailable(true);
    expect(await started).toBe(true);
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.registrations).toMatchObject([{ workerId: worker.workerId, slots: 2, processSteps: true }]);
  });
});

describe("a worker's commit", () => {
  it("reports what stands where this very attempt is committed already", async () => {
    const bench = await openBench();
    const body = bench.plane.addTask("t", { steps: [step("exit 5")] });
    const standing: Manifest = {
      v: 1,
      jobId: benchJobId,
      task: "t",
      attempt: 1,
      workerId: "w-somebody",
      outcome: { state: "completed", exitCode: 0 },
      startedAt: "2026-01-01T00:00:00.000Z",
      endedAt: "2026-01-01T00:00:01.000Z",
      steps: [],
      logs: [],
      artifacts: [],
    };
    await bench.objects.put(manifestKey(benchJobId, "t", 1), JSON.stringify(standing), "application/json");
    await bench.send(body);
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toEqual(standing.outcome);
    expect(await readManifest(bench, "t")).toEqual(standing);
  });

  it("fails a task whose artifact cannot be stored, and keeps the reason of one that failed anyway", async () => {
    const bench = await openBench();
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      putStream: async (_key, body) => {
        body.destroy();
        throw new Error("AccessDenied");
      },
    });
    const keep = "echo x > $SLUICE_OUTPUT/x";
    await bench.send(bench.plane.addTask("ok", { steps: [step(keep)] }));
    await bench.send(bench.plane.addTask("bad", { steps: [step(`${keep}; exit 7`)] }));
    await startWorker(bench, { objects });
    await eventually(() => bench.plane.outcome("ok") && bench.plane.outcome("bad"), "both results");
    expect(bench.plane.outcome("ok")).toMatchObject({
      state: "failed",
      reason: { code: "upload_failed", fault: "infrastructure", detail: expect.stringContaining("AccessDenied") },
    });
    expect(bench.plane.outcome("bad")).toMatchObject({
      state: "failed",
      exitCode: 7,
      reason: { code: "exit_code", detail: expect.stringMatching(/exited with 7; its artifact .*AccessDenied/) },
    });
  });

  it("keeps the artifact of a failed task through an outage of the bucket", async () => {
    const bench = await openBench();
    let failures = 0;
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      putStream: async (key, body, ...rest) => {
        if (failures === 4) return store.putStream(key, body, ...rest);
        failures++;
        body.destroy();
        throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
      },
    });
    await bench.send(bench.plane.addTask("t", { steps: [step("echo x > $SLUICE_OUTPUT/x; exit 42")] }));
    await startWorker(bench, { objects });
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect((await readManifest(bench, "t"))?.artifacts).toHaveLength(1);
    expect(bench.plane.outcome("t")?.reason?.detail).not.toContain("artifact");
  });

  it("repeats a result until the control plane takes it", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    let cut = false;
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      putIfAbsent: async (...args) => {
        const first = await store.putIfAbsent(...args);
        if (!cut) bench.plane.setAvailable(false);
        if (!cut) setTimeout(() => bench.plane.setAvailable(true), 500);
        cut = true;
        return first;
      },
    });
    await startWorker(bench, { objects });
    await eventually(() => bench.plane.outcome("t"), "the result");
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });

  it("makes the message visible again where the control plane wants another attempt", async () => {
    const bench = await openBench();
    bench.plane.resultAnswer = { status: "retry", retryAfterSeconds: 0 };
    await bench.send(bench.plane.addTask("t", { steps: [step("exit 1")] }));
    await startWorker(bench);
    await eventually(() => bench.plane.task("t").attempts.length >= 2, "a second attempt");
    bench.plane.resultAnswer = { status: "accepted" };
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });
});

describe("a worker's drain", () => {
  it("lets a running task finish and takes nothing new", async () => {
    const bench = await openBench();
    await bench.send(bench.plane.addTask("t", { steps: [step("echo up; sleep 1; echo done")] }));
    const worker = await startWorker(bench);
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length === 1), "the attempt has begun");
    const drained = worker.drain("a test");
    await bench.send(bench.plane.addTask("late", { steps: [step("true")] }));
    await drained;
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(bench.plane.task("late").attempts).toEqual([]);
    expect(await bench.countMessages()).toMatchObject({ visible: 1, inFlight: 0 });
    expect(bench.plane.heartbeats.map((beat) => beat.state)).toEqual(expect.arrayContaining(["draining", "stopped"]));
  });

  it("gives back what takes too long, with its log kept, and its message visible at once", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    const run = "trap 'echo told; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    const names = ["a", "b"];
    await bench.send(...names.map((name) => bench.plane.addTask(name, { steps: [step(run)] })));
    const worker = await startWorker(bench, { env: { SLUICE_DRAIN_MS: "1500" } });
    await eventually(async () => (await bench.readLog("a")).length + (await bench.readLog("b")).length === 2, "both");
    await worker.drain("a test");
    for (const name of names) {
      expect(bench.plane.task(name).attempts).toHaveLength(1);
      expect(bench.plane.task(name).attempts[0]?.result).toMatchObject({
        kind: "released",
        reason: { code: "drained" },
      });
      expect(await readWords(bench, name)).toEqual(["up", "told"]);
      expect(await bench.listAttempt(name)).not.toContain("result.json");
    }
    expect(await bench.countMessages()).toEqual({ visible: 2, inFlight: 0, delayed: 0 });
  });

  it("ends although neither control plane nor bucket answers", async () => {
    const bench = await openBench({ leaseMs: 20_000, visibilityTimeoutSeconds: 20 });
    const never = (signal?: AbortSignal) =>
      new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    const objects = (store: ObjectStore): ObjectStore => ({
      ...store,
      put: (_key, _body, _type, signal) => never(signal),
    });
    await bench.send(bench.plane.addTask("t", { steps: [step("echo up; while :; do sleep 0.05; done")] }));
    const worker = await startWorker(bench, { env: { SLUICE_DRAIN_MS: "2500" }, objects });
    await eventually(() => bench.plane.heartbeats.some((beat) => beat.attempts.length === 1), "the attempt has begun");
    bench.plane.setAvailable(false);
    await worker.drain("a test");
  });

  it("begins when the control plane asks for it", async () => {
    const bench = await openBench();
    const worker = await startWorker(bench);
    bench.plane.drainWorkers();
    await worker.ended;
  });

  it("ends a worker that has not found its control plane yet", async () => {
    const bench = await openBench();
    bench.plane.setAvailable(false);
    const worker = createWorker(bench);
    const started = worker.start();
    await worker.drain("a test");
    expect(await started).toBe(false);
  });
});
