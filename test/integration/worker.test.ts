import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { zstdDecompressSync } from "node:zlib";
import { extract } from "tar-stream";
import { describe, expect, it } from "vitest";
import { artifactKey } from "../../shared/domain/object-keys.ts";
import { openBench, queueIsEmpty, readManifest, startWorker, step } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { benchJobId } from "../support/worker-bench.ts";

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

  it("go on where their log is at its limit, which says so, as does the record", async () => {
    const bench = await openBench();
    const script = "seq 1 5000; echo went on > $SLUICE_OUTPUT/x";
    await bench.send(bench.plane.addTask("t", { steps: [step(script)] }));
    await startWorker(bench, { env: { SLUICE_STEP_LOG_BYTES: "1000" } });
    await eventually(() => bench.plane.outcome("t"), "the result");
    expect(bench.plane.outcome("t")).toEqual({ state: "completed", exitCode: 0 });
    const lines = (await bench.readLog("t")).map(({ text }) => text);
    expect(lines.slice(0, 3)).toEqual(["1", "2", "3"]);
    const notice = "sluice: the log of this step ends here, at its limit of 1000 bytes; the step goes on";
    expect(lines.at(-1)).toBe(notice);
    const { logs, artifacts } = await readManifest(bench, "t");
    const printed = Array.from({ length: 5_000 }, (_, index) => `${index + 1}\n`).join("").length;
    expect(logs).toMatchObject([{ droppedBytes: printed - 1_000 }]);
    expect(artifacts).toHaveLength(1);
  });

  it("store their lines sooner, by more requests, only while somebody watches", async () => {
    const bench = await openBench();
    const script = "while :; do echo line; sleep 0.05; done";
    for (const name of ["watched", "unwatched"]) await bench.send(bench.plane.addTask(name, { steps: [step(script)] }));
    bench.plane.watch("watched");
    await startWorker(bench);
    const countChunks = async (task: string) => (await bench.listAttempt(task)).length;
    // Whichever began first: the one that is watched gets ahead by three chunks.
    await eventually(async () => {
      const [watched, unwatched] = await Promise.all([countChunks("watched"), countChunks("unwatched")]);
      return unwatched > 0 && watched >= unwatched + 3;
    }, "more requests for the one that is watched");
    for (const name of ["watched", "unwatched"]) bench.plane.cancel(name);
    await eventually(() => bench.plane.outcome("watched") && bench.plane.outcome("unwatched"), "their ends");
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
