import { describe, expect, it, onTestFinished } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { HealthMonitor } from "./health-monitor.ts";
import type { HealthProblem } from "./health-state.ts";

const log = createLogger("test", { level: "silent" });
const broken: HealthProblem = { what: "docker", detail: "broken" };
const full: HealthProblem = { what: "disk", detail: "full" };

/** A monitor that looks every few milliseconds at a machine whose state the test sets. */
function startMonitor(probeMs = 15) {
  const machine = {
    problem: undefined as HealthProblem | undefined,
    looks: [] as boolean[],
    mends: [] as string[],
    changes: [] as string[],
    hasTasks: false,
    look: undefined as Promise<void> | undefined,
  };
  const monitor = new HealthMonitor({
    probeMs,
    probe: async (closely) => {
      machine.looks.push(closely);
      const { problem } = machine;
      await machine.look;
      return problem;
    },
    mend: async ({ what }, attempt) => void machine.mends.push(`${what} ${attempt}`),
    hasTasks: () => machine.hasTasks,
    nowMs: () => performance.now(),
    log,
    onChange: ({ state, attempt }) => machine.changes.push(attempt > 0 ? `${state} ${attempt}` : state),
  });
  monitor.start();
  onTestFinished(() => monitor.stop());
  return { machine, monitor };
}

describe("HealthMonitor", () => {
  it("mends, looks closely, and tells each change once", async () => {
    const { machine, monitor } = startMonitor();
    await expect.poll(() => machine.looks.length).toBeGreaterThan(1);
    expect(machine.looks).not.toContain(true);
    machine.problem = broken;
    await expect.poll(() => machine.changes.at(-1)).toBe("recovery_failed");
    expect(machine.changes).toEqual(["recovering 1", "recovering 2", "recovering 3", "recovery_failed"]);
    expect(machine.mends).toEqual(["docker 1", "docker 2", "docker 3"]);
    expect(monitor.takesTasks).toBe(false);
    machine.problem = undefined;
    await expect.poll(() => machine.changes.slice(4)).toEqual(["recovered", "healthy"]);
    expect(monitor.takesTasks).toBe(true);
  });

  it("takes one bad look for a busy moment", async () => {
    const { machine } = startMonitor();
    machine.problem = broken;
    const { length } = machine.looks;
    machine.look = Promise.resolve().then(() => {
      machine.problem = undefined;
    });
    await expect.poll(() => machine.looks.length).toBeGreaterThan(length + 2);
    expect(machine.changes).toEqual([]);
  });

  it("waits with a full disk for the tasks that run", async () => {
    const { machine } = startMonitor();
    machine.hasTasks = true;
    machine.problem = full;
    await expect.poll(() => machine.mends.length).toBeGreaterThan(6);
    expect(machine.changes).toEqual(["recovering 1"]);
    machine.hasTasks = false;
    await expect.poll(() => machine.changes.at(-1)).toBe("recovery_failed");
  });

  it("believes what is suspected over a look that began before", async () => {
    const { machine, monitor } = startMonitor();
    const { promise, resolve } = Promise.withResolvers<void>();
    machine.look = promise;
    const { length } = machine.looks;
    await expect.poll(() => machine.looks.length).toBeGreaterThan(length);
    monitor.suspect(broken);
    expect(monitor.takesTasks).toBe(false);
    resolve();
    await expect.poll(() => machine.changes).toEqual(["recovering 1", "recovered", "healthy"]);
  });

  it("looks at once when it is told that what was away is back", async () => {
    const { machine, monitor } = startMonitor(60_000);
    await expect.poll(() => machine.looks.length).toBe(1);
    await expect.poll(() => monitor.health.next.atMs > performance.now()).toBe(true);
    monitor.suspect(broken);
    monitor.hint();
    await expect.poll(() => machine.mends).toEqual(["docker 1"]);
  });

  it("says nothing more once it is stopped", async () => {
    const { machine, monitor } = startMonitor();
    monitor.stop();
    monitor.suspect(broken);
    expect(machine.changes).toEqual([]);
  });
});
