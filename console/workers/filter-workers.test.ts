import { describe, expect, it } from "vitest";
import type { Worker } from "../../shared/api/schemas.ts";
import { filterWorkers, isHere } from "./filter-workers.ts";

function buildWorker(part: Partial<Worker>): Worker {
  return {
    workerId: "w-1",
    pool: "default",
    state: "alive",
    slots: 4,
    slotsFree: 4,
    held: 0,
    provider: "ec2",
    host: "ip-10-0-0-1",
    version: "1",
    startedAt: "2026-01-01T00:00:00.000Z",
    lastSeenAt: "2026-01-01T00:00:00.000Z",
    ...part,
  };
}

const workers = [
  buildWorker({ workerId: "w-a", instanceId: "i-0ABC" }),
  buildWorker({ workerId: "w-b", pool: "large", state: "draining" }),
  buildWorker({ workerId: "w-c", pool: "large", state: "lost", host: "other" }),
];
const ids = (filter: Parameters<typeof filterWorkers>[1]) =>
  filterWorkers(workers, filter).map(({ workerId }) => workerId);

describe("the choice of workers", () => {
  it("goes by pool, state and any part of what a machine is called", () => {
    expect(ids({})).toEqual(["w-a", "w-b", "w-c"]);
    expect(ids({ pool: "large" })).toEqual(["w-b", "w-c"]);
    expect(ids({ pool: "large", state: "lost" })).toEqual(["w-c"]);
    expect(ids({ find: " I-0a " })).toEqual(["w-a"]);
    expect(ids({ find: "OTHER" })).toEqual(["w-c"]);
  });

  it("knows who is here: a worker that drains is, one that is lost is not", () => {
    expect(workers.map(isHere)).toEqual([true, true, false]);
  });
});
