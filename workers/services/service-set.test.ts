import { describe, expect, it, vi } from "vitest";
import type { Reason } from "../../shared/domain/reason.ts";
import { reasonFor } from "../../shared/domain/reason.ts";
import type { HealthSpec, ServiceSpec } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import {
  type RunningService,
  type ServiceLaunch,
  type StepExit,
  StepFault,
  type StepOutput,
} from "../executors/executor.ts";
import { ServiceSet } from "./service-set.ts";

const never = new AbortController().signal;
const check: HealthSpec = {
  check: { kind: "cmd", command: ["ok"] },
  timeoutMs: 1_000,
  intervalMs: 1,
  retries: 2,
  startPeriodMs: 0,
};

const plain: ServiceSpec = { image: "x", env: {}, tmpfs: [] };

function spec(health: Partial<HealthSpec> = {}): ServiceSpec {
  return { ...plain, health: { ...check, ...health } };
}

/** One start of a service, under the test's control. */
class FakeService implements RunningService {
  readonly address = "10.0.0.1";
  readonly done: string[] = [];
  readonly output: StepOutput;
  readonly #end = Promise.withResolvers<StepExit>();
  readonly ended = this.#end.promise;
  isHealthy = true;
  isUp = true;
  isStubborn = false;

  constructor(output: StepOutput) {
    this.output = output;
  }

  exit(exitCode: number, outOfMemory = false): void {
    this.isUp = false;
    this.#end.resolve({ exitCode, outOfMemory });
  }

  terminate(): void {
    this.done.push("TERM");
    if (!this.isStubborn) this.exit(143);
  }

  kill(): void {
    this.done.push("KILL");
    this.exit(137);
  }

  async runInside() {
    return { exitCode: this.isHealthy ? 0 : 1, output: "no\n answer" };
  }

  async isRunning() {
    return this.isUp;
  }

  async remove() {
    this.done.push("removed");
  }
}

function setUp(
  services: Record<string, ServiceSpec>,
  onStart: (service: FakeService, start: number, name: string) => void = () => undefined,
) {
  const starts: Record<string, FakeService[]> = {};
  const died: Reason[] = [];
  const closed: string[] = [];
  const stop = new AbortController();
  const prepare = vi.fn(async ({ name }: ServiceLaunch) => ({
    start: async (output: StepOutput) => {
      const service = new FakeService(output);
      starts[name] ??= [];
      onStart(service, starts[name].push(service), name);
      return service;
    },
  }));
  const set = new ServiceSet({
    services,
    prepare,
    openLog: (name, wrap) => ({ ...wrap({ write: () => undefined }), close: () => closed.push(name) }),
    signal: stop.signal,
    onDied: (reason) => died.push(reason),
    onStarted: () => undefined,
    log: createLogger("test", { level: "silent" }),
    restartDelayMs: 1,
  });
  return { set, starts, died, closed, stop, prepare };
}

describe("ServiceSet", () => {
  it("starts nothing before every image is there, then is ready when all are", async () => {
    const { set, starts, prepare, closed } = setUp({ a: spec({ retries: 10_000 }), b: plain }, (service) => {
      service.isHealthy = false;
    });
    const image = Promise.withResolvers<void>();
    const start = prepare.getMockImplementation();
    prepare.mockImplementation(async (launch) => {
      if (launch.name === "b") await image.promise;
      return start?.(launch) as never;
    });
    let isReady = false;
    const ready = set.start().then(() => {
      isReady = true;
    });
    await vi.waitFor(() => expect(prepare).toHaveBeenCalledTimes(2));
    expect(starts).toEqual({});
    image.resolve();
    await vi.waitFor(() => expect(starts.a).toHaveLength(1));
    expect(isReady).toBe(false);
    for (const service of starts.a ?? []) service.isHealthy = true;
    await ready;
    await set.stop(1_000, never);
    expect(closed).toEqual(["a", "b"]);
  });

  it("starts a service again that ends or does not become healthy, on its own", async () => {
    const { set, starts, died } = setUp({ a: spec(), b: spec() }, (service, start) => {
      if (start === 1) service.exit(1);
      if (start === 2) service.isHealthy = false;
    });
    await set.start();
    expect(starts.a).toHaveLength(3);
    expect(starts.a?.map(({ done }) => done)).toEqual([["TERM", "removed"], ["TERM", "removed"], []]);
    expect(died).toEqual([]);
    await set.stop(1_000, never);
  });

  it("gives up after three starts, with the reason and the last lines", async () => {
    const { set, starts } = setUp({ good: plain, bad: spec() }, (service, start, name) => {
      if (name === "good") return;
      void service.output.write("stderr", Buffer.from(`start ${start} has no disk\n`));
      service.isHealthy = false;
    });
    await expect(set.start()).rejects.toMatchObject({
      reason: {
        code: "service_unhealthy",
        detail:
          "service bad did not become healthy: ok ended with 1: no answer (started 3 times). Its last log lines:\nstart 3 has no disk",
      },
    });
    expect(starts.bad).toHaveLength(3);
    await set.stop(1_000, never);
    expect(starts.good?.[0]?.done).toEqual(["TERM"]);
  });

  it("passes on at once why a service cannot be prepared", async () => {
    const { set, prepare } = setUp({ a: spec() });
    prepare.mockRejectedValue(new StepFault(reasonFor("image_unavailable", "no such image")));
    await expect(set.start()).rejects.toMatchObject({ reason: { code: "image_unavailable" } });
    await set.stop(1_000, never);
  });

  it("tells the end of a service once all were ready, and does not start it again", async () => {
    const { set, starts, died } = setUp({ a: spec() });
    await set.start();
    expect(await set.findDead()).toBeUndefined();
    starts.a?.[0]?.exit(137, true);
    await vi.waitFor(() => expect(died).toHaveLength(1));
    expect(died[0]?.detail).toBe(
      "service a ended with exit code 137 (out of memory) while the task needed it. It printed nothing.",
    );
    expect(await set.findDead()).toMatchObject({ code: "service_unhealthy" });
    expect(starts.a).toHaveLength(1);
    await set.stop(1_000, never);
  });

  it("stops waiting at once when the attempt is ended", async () => {
    const { set, stop, died, starts } = setUp({ a: spec({ intervalMs: 600_000, retries: 100 }) }, (service) => {
      service.isHealthy = false;
    });
    const ready = set.start();
    await vi.waitFor(() => expect(starts.a).toHaveLength(1));
    stop.abort(new Error("cancelled"));
    await expect(ready).rejects.toThrow("cancelled");
    await set.stop(1_000, never);
    expect(starts.a?.[0]?.done).toEqual(["TERM"]);
    expect(died).toEqual([]);
  });

  it("ends all at once, kills what does not want to end, and kills at once what nobody waits for", async () => {
    const { set, starts, died } = setUp({ a: spec(), b: spec() }, (service) => {
      service.isStubborn = true;
    });
    await set.start();
    await set.stop(5, never);
    expect(starts.a?.[0]?.done).toEqual(["TERM", "KILL"]);
    const lost = setUp({ a: spec() });
    await lost.set.start();
    await lost.set.stop(600_000, AbortSignal.abort());
    expect(lost.starts.a?.[0]?.done).toEqual(["KILL"]);
    expect([...died, ...lost.died]).toEqual([]);
  });
});
