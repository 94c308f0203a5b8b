import { describe, expect, it } from "vitest";
import type { FleetEvent, UnplacedFleetEvent } from "./fleet-event.ts";
import { describeFleetEvent, toText } from "./fleet-event-words.ts";

function place(event: UnplacedFleetEvent): FleetEvent {
  return { v: 1, seq: 1, pool: "default", at: "2026-01-01T00:00:00.000Z", ...event };
}

function say(event: UnplacedFleetEvent): string {
  return toText(describeFleetEvent(place(event)).pieces);
}

const held = (task: string) => ({ jobId: "job-1", task, attempt: 2 });

describe("events of a fleet in words", () => {
  it("names the tasks that a lost worker held, the first of them", () => {
    const lost = { type: "worker_lost", workerId: "w-1", host: "here", from: "alive" } as const;
    const lastSeenAt = "2026-01-01T00:00:00.000Z";
    expect(say({ ...lost, lastSeenAt, tasks: [] })).toBe("w-1 (here) is lost; it held no task");
    expect(say({ ...lost, lastSeenAt, tasks: [held("a"), held("b")] })).toBe(
      "w-1 (here) is lost; it held job-1/a (attempt 2), job-1/b (attempt 2)",
    );
    expect(say({ ...lost, lastSeenAt, tasks: ["a", "b", "c", "d"].map(held) })).toMatch(/ and 1 other$/);
  });

  it("tells pages what it speaks of", () => {
    const stopped = place({ type: "worker_stopped", workerId: "w-1", clean: false, abandoned: [held("a")] });
    const { pieces, tone } = describeFleetEvent(stopped);
    expect(pieces).toContainEqual({ worker: "w-1" });
    expect(pieces).toContainEqual({ attempt: held("a") });
    expect(tone).toBe("warning");
  });

  it("says why a worker drains and what a pool recovered from", () => {
    expect(say({ type: "worker_draining", workerId: "w-1", cause: { kind: "signal", detail: "SIGTERM" } })).toBe(
      "w-1 drains: SIGTERM",
    );
    expect(say({ type: "scale_up", workerId: "w-1", from: 0, to: 1, kind: "started", recoveredFrom: "crashed" })).toBe(
      "0 → 1 worker (started, recovered from crashed)",
    );
  });

  it("says who wants how many workers", () => {
    const changed = { type: "desired_changed", by: "ann" } as const;
    expect(say({ ...changed, from: null, to: 5 })).toBe("ann wants 5 workers");
    expect(say({ ...changed, from: 5, to: 1 })).toBe("ann wants 1 worker, not 5");
    expect(say({ ...changed, from: 5, to: null })).toBe("ann has it have any number of workers, not 5");
  });
});
