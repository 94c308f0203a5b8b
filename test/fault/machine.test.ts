import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Task } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { greet, planCompleting, useFaultStacks } from "../support/chaos/fault-fixture.ts";
import { eventually } from "../support/eventually.ts";
import { step } from "../support/jobs.ts";
import { makeFolder, mountSmall } from "../support/small-disk.ts";

const startStack = useFaultStacks();
const skewMs = 60_000;

/** Sets the clock of every worker a minute ahead or back, by its pid; other processes keep theirs. */
const skewClocks = `
if (process.argv[1].endsWith("/workers/main.ts")) {
  const RealDate = Date;
  const skewMs = process.pid % 2 === 0 ? ${skewMs} : -${skewMs};
  globalThis.Date = class extends RealDate {
    constructor(...parts) {
      if (parts.length === 0) super(RealDate.now() + skewMs);
      else super(...parts);
    }
    static now() {
      return RealDate.now() + skewMs;
    }
  };
}`;

describe("workers whose clocks are a minute ahead or behind", () => {
  it("are not taken for dead: tasks longer than a lease run once", { timeout: 240_000 }, async () => {
    const NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(skewClocks)}`;
    const running = await startStack({ workers: 3, slots: 1, env: { NODE_OPTIONS } });
    const seconds = timing.leaseMs / 1000 + 5;
    const plan = planCompleting("skewed", [step({ run: `${greet}; sleep ${seconds}` })], ["a", "b", "c"]);
    const { tasks, events } = await running.expectSound(plan, await running.submit(plan));
    expect(tasks.map(({ attempts }) => attempts.length)).toEqual([1, 1, 1]);
    // A worker's own times show that its clock was off; what the control plane noted down does not.
    const offMs = tasks.map((task) => Date.parse(startOfStep(task)) - Date.parse(task.startedAt ?? ""));
    for (const ms of offMs) expect(Math.abs(ms)).toBeGreaterThan(skewMs / 2);
    const times = events.map(({ at }) => at);
    expect(times).toEqual(times.toSorted());
  });
});

function startOfStep(task: Task): string {
  return task.attempts[0]?.steps?.[0]?.startedAt ?? "";
}

describe("a worker whose disk is full", () => {
  it("fails the task that filled it, loses no other, and goes on when there is room again", {
    timeout: 240_000,
  }, async (context) => {
    const dataDir = await makeFolder("sluice-disk-");
    await mkdir(join(dataDir, "work"));
    if (!mountSmall(join(dataDir, "work"), 8, context)) return;
    const running = await startStack({ workers: 1, slots: 2, dataDir });
    const fill = `${greet}; head -c 20000000 /dev/zero > "$SLUICE_OUTPUT/big" || { sleep 4; exit 7; }`;
    const hog = planCompleting("hog", [step({ run: fill })], ["h"]);
    const hogId = await running.submit(hog);
    await eventually(
      async () => (await running.read<Task>(`/v1/jobs/${hogId}/tasks/h`)).status === "running",
      "the hog",
    );
    const beside = planCompleting("beside", [step({ run: `${greet}; sleep 0.3` })], ["a", "b", "c", "d"]);
    await running.expectSound(beside, await running.submit(beside));
    await running.waitForEnd(hogId);
    const task = await running.read<Task>(`/v1/jobs/${hogId}/tasks/h`);
    expect(task).toMatchObject({ status: "failed", exitCode: 7, reason: { code: "exit_code" } });
    // The slot of a task is free before its folder is gone.
    const workerDir = join(dataDir, "work", task.attempts[0]?.workerId ?? "");
    await eventually(async () => (await readdir(workerDir)).join() === "owner", "the end of the full workspace");
    const write = `${greet}; head -c 3000000 /dev/urandom > "$SLUICE_OUTPUT/fits"`;
    const after = planCompleting("after", [step({ run: write })], ["a", "b"]);
    const { tasks } = await running.expectSound(after, await running.submit(after));
    expect(tasks.map(({ artifacts }) => artifacts?.length)).toEqual([1, 1]);
  });
});
