import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import type { Manifest } from "../../shared/domain/manifest.ts";
import { manifestKey } from "../../shared/domain/object-keys.ts";
import { createWorker, openBench, queueIsEmpty, readManifest, startWorker, step } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { benchJobId } from "../support/worker-bench.ts";

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
