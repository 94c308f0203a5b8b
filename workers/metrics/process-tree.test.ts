import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { ProcessTable, ProcessTreeUsage } from "./process-tree.ts";

interface FakeProcess {
  parent: number;
  group: number;
  /** User and system time, and those of its ended children. */
  ticks: [number, number, number, number];
  start?: number;
  read?: number;
}

async function makeProc(processes: Record<number, FakeProcess>): Promise<{ folder: string; set: typeof set }> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-proc-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  async function set(now: Record<number, FakeProcess>): Promise<void> {
    await rm(folder, { recursive: true });
    await mkdir(join(folder, "self"), { recursive: true });
    for (const [pid, { parent, group, ticks, start = 1, read = 0 }] of Object.entries(now)) {
      await mkdir(join(folder, pid));
      const stat = `${pid} (a) b) S ${parent} ${group} 1 0 -1 0 0 0 0 0 ${ticks.join(" ")} 20 0 3 0 ${start} 1000 10 0\n`;
      await writeFile(join(folder, pid, "stat"), stat);
      await writeFile(join(folder, pid, "io"), `rchar: 5\nread_bytes: ${read}\nwrite_bytes: 2\n`);
    }
  }
  await set(processes);
  return { folder, set };
}

/** A table that is looked at anew for each reading. */
function freshTable(folder: string): ProcessTable {
  let nowMs = 0;
  return new ProcessTable(folder, () => (nowMs += 1_000));
}

describe("what a step on the host uses", () => {
  it("is that of its process group and of all that these have started", async () => {
    const { folder } = await makeProc({
      1: { parent: 0, group: 1, ticks: [900, 900, 900, 900] },
      100: { parent: 50, group: 100, ticks: [100, 50, 25, 25], read: 7 },
      101: { parent: 100, group: 100, ticks: [100, 0, 0, 0] },
      // Has left the group; its child has, too.
      102: { parent: 101, group: 102, ticks: [50, 0, 0, 0] },
      103: { parent: 102, group: 102, ticks: [50, 0, 0, 0], read: 1 },
      200: { parent: 1, group: 200, ticks: [900, 0, 0, 0] },
    });
    expect(await new ProcessTreeUsage(freshTable(folder), 100).read()).toEqual({
      cpuUs: 4_000_000,
      memoryBytes: 4 * 10 * 4096,
      readBytes: 8,
      writtenBytes: 8,
      pids: 12,
    });
  });

  it("keeps what an ended child had used, and one that another process has taken over", async () => {
    const leader = { parent: 50, group: 100, ticks: [10, 0, 0, 0] } satisfies FakeProcess;
    const { folder, set } = await makeProc({
      100: leader,
      101: { parent: 100, group: 100, ticks: [40, 0, 0, 0] },
      102: { parent: 101, group: 102, ticks: [50, 0, 0, 0] },
    });
    const usage = new ProcessTreeUsage(freshTable(folder), 100);
    expect(await usage.read()).toMatchObject({ cpuUs: 1_000_000 });
    await set({
      100: { ...leader, ticks: [10, 0, 45, 0] },
      102: { parent: 1, group: 102, ticks: [60, 0, 0, 0] },
    });
    expect(await usage.read()).toMatchObject({ cpuUs: 1_150_000, pids: 6 });
    // A later process of the same number is another one.
    await set({
      100: { ...leader, ticks: [10, 0, 45, 0] },
      102: { parent: 1, group: 102, ticks: [1, 0, 0, 0], start: 9 },
    });
    expect(await usage.read()).toMatchObject({ cpuUs: 1_150_000, pids: 3 });
    await set({});
    expect(await usage.read()).toBeUndefined();
  });

  it("is measured on this machine", async () => {
    const child = spawn("/bin/sh", ["-c", "while :; do :; done & wait"], { detached: true, stdio: "ignore" });
    const { pid = 0 } = child;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    onTestFinished(async () => {
      process.kill(-pid, "SIGKILL");
      await gone;
    });
    const usage = new ProcessTreeUsage(freshTable("/proc"), pid);
    const used = await eventually(async () => {
      const now = await usage.read();
      return now !== undefined && now.cpuUs > 100_000 ? now : undefined;
    }, "a burning child");
    expect(used.pids).toBe(2);
    expect(used.memoryBytes).toBeGreaterThan(100_000);
  });
});
