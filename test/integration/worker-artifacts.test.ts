import { writeFile } from "node:fs/promises";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import { parseMembers } from "../../shared/domain/artifact-list.ts";
import { type LiveReport, liveReportSchema } from "../../shared/domain/live-artifact.ts";
import { artifactKey, liveArtifactKey, liveReportKey } from "../../shared/domain/object-keys.ts";
import { openBench, readManifest, startWorker, step } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { benchJobId, type WorkerBench } from "../support/worker-bench.ts";

const liveId = (digit: string) => `1-${digit.repeat(26)}`;

async function readReport(bench: WorkerBench, id: string): Promise<LiveReport | undefined> {
  const stored = await bench.objects.get(liveReportKey(benchJobId, "t", 1, id));
  return stored && liveReportSchema.parse(JSON.parse(Buffer.from(stored).toString("utf8")));
}

async function readTar(bench: WorkerBench, key: string): Promise<string> {
  return zstdDecompressSync(Buffer.from((await bench.objects.get(key)) ?? [])).toString("latin1");
}

/** A store in which artifacts are never taken; counts those that are on their way. */
function neverTaking(objects: ObjectStore): { objects: ObjectStore; underway: () => number } {
  let underway = 0;
  const putStream: ObjectStore["putStream"] = async (_key, body, { signal }) => {
    underway++;
    body.resume();
    await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error)));
  };
  return { objects: { ...objects, putStream }, underway: () => underway };
}

describe("a running task", () => {
  it("lets what it has written so far be stored, once for each who asks, and goes on", async () => {
    const bench = await openBench();
    const files = ["first", "go-on"].map((file) => `${bench.folder}/${file}`);
    const wait = (file = "") => `while [ ! -e ${file} ]; do sleep 0.05; done`;
    const run = `${wait(files[0])}; echo early > $SLUICE_OUTPUT/a; ${wait(files[1])}; echo late > $SLUICE_OUTPUT/b`;
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench);
    await eventually(() => bench.plane.task("t").attempts.length > 0, "the claim");
    bench.plane.task("t").live = { id: liveId("0"), forMs: 60_000 };
    await eventually(() => readReport(bench, liveId("0")), "an answer");
    expect(await readReport(bench, liveId("0"))).toMatchObject({ status: "empty" });
    await writeFile(files[0] ?? "", "");
    const report = await askUntilStored(bench);
    const key = liveArtifactKey(benchJobId, "t", 1, report.id);
    expect(report.artifact).toMatchObject({ key, name: "t.tar.zst", keptUntil: expect.any(String) });
    expect(await readTar(bench, key)).toContain("early");
    await writeFile(files[1] ?? "", "");
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(await readTar(bench, artifactKey(benchJobId, "t", 1))).toContain("late");
    expect((await bench.listAttempt("t")).filter((name) => name.includes(liveId("0")))).toHaveLength(1);
  });

  it("ends at once though what it has written is on its way, and leaves that unsaid", async () => {
    const bench = await openBench();
    const never = neverTaking(bench.objects);
    const run = `echo x > $SLUICE_OUTPUT/x; while [ ! -e ${bench.folder}/end ]; do sleep 0.05; done; rm $SLUICE_OUTPUT/x`;
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench, { objects: () => never.objects });
    await eventually(() => bench.plane.task("t").attempts.length > 0, "the claim");
    bench.plane.task("t").live = { id: liveId("0"), forMs: 60_000 };
    await eventually(() => never.underway() > 0, "the upload");
    await writeFile(`${bench.folder}/end`, "");
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    expect(await readReport(bench, liveId("0"))).toBeUndefined();
  });

  it("has its time for that told as over", async () => {
    const bench = await openBench();
    const never = neverTaking(bench.objects);
    const run = "echo x > $SLUICE_OUTPUT/x; sleep 1000";
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench, { objects: () => never.objects });
    await eventually(() => bench.plane.task("t").attempts.length > 0, "the claim");
    bench.plane.task("t").live = { id: liveId("0"), forMs: 300 };
    await eventually(() => readReport(bench, liveId("0")), "the report");
    expect(await readReport(bench, liveId("0"))).toMatchObject({ status: "failed" });
  });
});

/** Asks again and again, each time anew, until something is there. */
async function askUntilStored(bench: WorkerBench) {
  let asked = 0;
  return eventually(async () => {
    const id = liveId(String(asked + 1));
    bench.plane.task("t").live = { id, forMs: 60_000 };
    const report = await readReport(bench, id);
    if (report !== undefined) asked++;
    return report?.status === "stored" ? { id, artifact: report.artifact } : undefined;
  }, "what was written");
}

describe("output that cannot be kept", () => {
  it("fails a completed task by its name, and the rest is kept", async () => {
    const bench = await openBench();
    const deep = Array.from({ length: 251 }, () => "d").join("/");
    const run = `echo x > $SLUICE_OUTPUT/x; mkdir -p $SLUICE_OUTPUT/${deep}`;
    await bench.send(bench.plane.addTask("t", { steps: [step(run)] }));
    await startWorker(bench);
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "failed",
      reason: {
        code: "upload_failed",
        fault: "user",
        detail: expect.stringMatching(/lacks '.*d': it is nested deeper/),
      },
    });
    const [artifact] = (await readManifest(bench, "t")).artifacts;
    expect(artifact?.incomplete).toContain("nested deeper");
    // What is kept is listed beside it, before the manifest says so.
    const listed = (await bench.objects.get(artifact?.list?.key ?? "")) ?? new Uint8Array();
    const members = parseMembers(zstdDecompressSync(listed).toString("utf8"));
    expect(members.filter(({ kind }) => kind === "file")).toMatchObject([{ path: "x", size: 2 }]);
    expect(artifact?.content).toEqual({ members: 251, files: 1, bytes: 2 });
    expect(await readTar(bench, artifactKey(benchJobId, "t", 1))).toContain("x\n");
  });

  it("is said where a drain leaves no time for it", async () => {
    const bench = await openBench();
    const never = neverTaking(bench.objects);
    await bench.send(bench.plane.addTask("t", { steps: [step("echo x > $SLUICE_OUTPUT/x; exit 3")] }));
    await bench.send(bench.plane.addTask("u", { steps: [step("echo x > $SLUICE_OUTPUT/x; sleep 1000")] }));
    const worker = await startWorker(bench, { objects: () => never.objects, env: { SLUICE_SLOTS: "2" } });
    await eventually(() => never.underway() > 0 && bench.plane.task("u").attempts.length > 0, "both tasks");
    await worker.drain({ kind: "signal", signal: "SIGTERM" });
    expect(bench.plane.outcome("t")).toMatchObject({
      state: "failed",
      exitCode: 3,
      reason: { detail: expect.stringMatching(/its artifact could not be stored: the worker was being stopped/) },
    });
    expect(bench.plane.task("u").attempts[0]?.result).toMatchObject({
      kind: "released",
      reason: {
        code: "drained",
        detail: expect.stringMatching(/starts again elsewhere; its artifact could not be stored/),
      },
    });
  });
});
