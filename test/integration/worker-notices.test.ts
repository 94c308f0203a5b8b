import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createWorker, openBench, queueIsEmpty, step } from "../support/bench-worker.ts";
import { eventually } from "../support/eventually.ts";
import { startMetadataServer } from "../support/metadata-server.ts";

const soon = { SLUICE_NOTICE_POLL_MS: "50" };
const onEc2 = { SLUICE_PROVIDER: "ec2", SLUICE_ECR: "off", SLUICE_METADATA: "reachable" };

/** The first attempt stays, later ones end at once. */
const stayOnce = step('[ "$SLUICE_ATTEMPT" -ge 2 ] || sleep 1000');

describe("a worker whose machine is taken away", () => {
  it("gives its task back as spot_interrupted, and another worker runs it at once", async () => {
    const bench = await openBench();
    const metadata = await startMetadataServer();
    const ec2 = { ...onEc2, AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url };
    const taken = createWorker(bench, {
      env: { ...soon, ...ec2, SLUICE_DRAIN_MS: "10000", SLUICE_DRAIN_FINISH_MS: "0" },
    });
    await taken.start();
    await bench.send(bench.plane.addTask("t", { steps: [stayOnce] }));
    await eventually(() => bench.plane.task("t").attempts.length === 1, "the first attempt");
    const stays = createWorker(bench);
    await stays.start();
    const time = new Date(Date.now() + 120_000).toISOString();
    metadata.ec2.set("spot/instance-action", JSON.stringify({ action: "terminate", time }));
    await taken.ended;
    expect(bench.plane.task("t").attempts[0]?.result).toMatchObject({
      kind: "released",
      reason: { code: "spot_interrupted", fault: "infrastructure", detail: expect.stringContaining("terminate at") },
    });
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.task("t").attempts.map(({ workerId }) => workerId)).toEqual([taken.workerId, stays.workerId]);
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    await eventually(() => queueIsEmpty(bench), "an empty queue");
  });

  it("finishes what it has and takes nothing more where there is time, unless that is taken back", async () => {
    const bench = await openBench();
    const file = join(bench.folder, "notice");
    const worker = createWorker(bench, { env: { ...soon, SLUICE_NOTICE_FILE: file } });
    await worker.start();
    const go = join(bench.folder, "go");
    const wait = step(`until [ -e ${go} ]; do sleep 0.05; done`);
    const untilHeld = () => {
      const { length } = bench.plane.heartbeats;
      const isHeld = () => bench.plane.heartbeats.slice(length + 1).some(({ slotsFree }) => slotsFree === 0);
      return eventually(isHeld, "no free slots");
    };
    await bench.send(bench.plane.addTask("a", { steps: [wait] }));
    await eventually(() => bench.plane.task("a").attempts.length === 1, "the first task");
    await writeFile(file, "{}garbage");
    await writeFile(file, '{"action":"drain","detail":"new kernel"}');
    await untilHeld();
    await bench.send(bench.plane.addTask("b", { steps: [step("true")] }));
    await rm(file);
    await eventually(() => bench.plane.outcome("b"), "the second task, once the notice is taken back");
    await writeFile(file, "");
    await untilHeld();
    await bench.send(bench.plane.addTask("c", { steps: [step("true")] }));
    await writeFile(go, "");
    await worker.ended;
    expect(bench.plane.outcome("a")).toMatchObject({ state: "completed" });
    expect(bench.plane.task("c").attempts).toEqual([]);
  });

  it.each([
    ["hangs", { kind: "silent" }],
    ["refuses", { kind: "all", status: 401, text: "" }],
    ["is broken", { kind: "all", status: 500, text: "oops" }],
    ["is something else", { kind: "all", status: 200, text: "<html></html>" }],
  ] as const)("goes on where the metadata service %s", async (_name, mood) => {
    const bench = await openBench();
    const metadata = await startMetadataServer();
    metadata.mood = mood;
    const ec2 = { ...onEc2, AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url };
    const worker = createWorker(bench, { env: { ...soon, ...ec2 } });
    await worker.start();
    await bench.send(bench.plane.addTask("t", { steps: [step("true")] }));
    await eventually(() => bench.plane.outcome("t"), "the end");
    expect(bench.plane.outcome("t")).toMatchObject({ state: "completed" });
    await eventually(() => metadata.asked.length > 0, "a question");
  });
});
