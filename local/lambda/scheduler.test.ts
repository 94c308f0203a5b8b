import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { startSchedules } from "./scheduler.ts";

const lines: string[] = [];
const log = createLogger("test", { destination: { write: (line) => void lines.push(line) } });

beforeEach(() => {
  vi.useFakeTimers();
  lines.length = 0;
});
afterEach(() => vi.useRealTimers());

describe("a schedule", () => {
  it("runs at once, and then at its rate", async () => {
    let runs = 0;
    const handler = async () => {
      runs += 1;
    };
    const schedules = startSchedules([{ name: "sweep", everySeconds: 60, timeoutSeconds: 55, handler }], log);
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(59_999);
    expect(runs).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(runs).toBe(2);
    await schedules.close();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(runs).toBe(2);
  });

  it("does not overtake a run under way, and waits for it when it is closed", async () => {
    let runs = 0;
    const slow = Promise.withResolvers<void>();
    const handler = async () => {
      runs += 1;
      await slow.promise;
    };
    const schedules = startSchedules([{ name: "sweep", everySeconds: 60, timeoutSeconds: 55, handler }], log);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(runs).toBe(1);
    let closed = false;
    const closing = schedules.close().then(() => {
      closed = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(closed).toBe(false);
    slow.resolve();
    await closing;
    expect(closed).toBe(true);
  });

  it("goes on after a run that failed, and says that it did", async () => {
    let runs = 0;
    const handler = async () => {
      runs += 1;
      if (runs === 1) throw new Error("no table");
    };
    const schedules = startSchedules([{ name: "sweep", everySeconds: 60, timeoutSeconds: 55, handler }], log);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(runs).toBe(2);
    expect(lines.join("")).toContain("no table");
    await schedules.close();
  });

  it("tells its function how much time is left", async () => {
    let leftMs = 0;
    const handler = async (_event: unknown, context: { getRemainingTimeInMillis(): number }) => {
      leftMs = context.getRemainingTimeInMillis();
    };
    await startSchedules([{ name: "sweep", everySeconds: 60, timeoutSeconds: 55, handler }], log).close();
    expect(leftMs).toBeGreaterThan(0);
  });
});
