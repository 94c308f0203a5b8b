import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createLogger } from "../shared/log.ts";
import { HostUse } from "./host-use.ts";
import type { HostSample } from "./metrics/host-sample.ts";

const log = createLogger("test", { level: "silent" });
const of = (cpu: number): HostSample => ({
  cpu,
  memoryBytes: { used: 1, total: 2 },
  diskBytes: { free: 3, total: 4 },
});

function createUse() {
  const waiting: PromiseWithResolvers<HostSample>[] = [];
  const sample = () => {
    const next = Promise.withResolvers<HostSample>();
    waiting.push(next);
    return next.promise;
  };
  return { use: new HostUse("/", log, { sample }), waiting };
}

describe("the use of a machine as heartbeats tell it", () => {
  it("is the sample before, and waits for none", async () => {
    const { use, waiting } = createUse();
    expect(use.next()).toBeUndefined();
    waiting[0]?.resolve(of(0.1));
    await nextTurn();
    expect(use.next()).toEqual(of(0.1));
  });

  it("begins no sample while one hangs", async () => {
    const { use, waiting } = createUse();
    for (let beat = 0; beat < 3; beat++) use.next();
    expect(waiting).toHaveLength(1);
    waiting[0]?.resolve(of(0.2));
    await nextTurn();
    use.next();
    expect(waiting).toHaveLength(2);
  });

  it("is not told any more once a sample fails", async () => {
    const { use, waiting } = createUse();
    use.next();
    waiting[0]?.resolve(of(0.3));
    await nextTurn();
    expect(use.next()?.cpu).toBe(0.3);
    waiting[1]?.reject(new Error("the disk is gone"));
    await nextTurn();
    expect(use.next()).toBeUndefined();
  });
});
