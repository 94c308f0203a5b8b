import { describe, expect, it } from "vitest";
import type { FleetEvent } from "../../events/index.ts";
import type { ForgottenPool, Pool, Worker } from "../../shared/api/schemas.ts";
import type { Context } from "../context.ts";
import { createOutput } from "../terminal/output.ts";
import { desireWorkers, forgetPool, listFleetEvents, listPools } from "./pools.ts";
import { drainWorkers, listWorkers, undrainWorkers } from "./workers.ts";

const nowMs = Date.UTC(2026, 0, 5, 12);
const ago = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString();
const ofWorker = (change: Partial<Worker> = {}): Worker => ({
  ...{ workerId: "w-1", pool: "default", state: "alive", slots: 4, slotsFree: 1, held: 3, provider: "ec2" },
  ...{ host: "h", version: "1.2.0", startedAt: ago(100), lastSeenAt: ago(3) },
  ...change,
});
const ofPool = (change: Partial<Pool> = {}): Pool => ({
  ...{ pool: "default", state: "alive", configured: true, workers: { starting: 0, alive: 2, draining: 1 } },
  ...{ slots: 8, slotsFree: 6, held: 2, more: false, lastSeenAt: ago(1), losses: [] },
  ...change,
});
const ofEvent = (seq: number, event: object) =>
  ({ v: 1, seq, pool: "default", at: ago(60 - seq), workerId: "w-1", ...event }) as FleetEvent;

function createSetting(options: { json?: boolean; workers?: Worker[]; pools?: Pool[]; events?: FleetEvent[] } = {}) {
  const { json = false, workers = [], pools = [], events = [] } = options;
  const written: string[] = [];
  const notes: string[] = [];
  const asked: unknown[] = [];
  const api = {
    eachWorker: async function* () {
      yield* workers;
    },
    eachFleetEvent: async function* (query: unknown) {
      asked.push(query);
      yield* events;
    },
    eachForgotten: async function* (pool: string, applied: boolean): AsyncGenerator<ForgottenPool> {
      yield { pool, applied, workers: ["w-1"], cursor: "next" };
      yield { pool, applied, workers: ["w-2"] };
    },
    listPools: async () => ({ pools }),
    desireWorkers: async (_pool: string, desired: number | null) =>
      ofPool({ state: "degraded", desired: desired ?? 0 }),
    askWorker: async (...wish: unknown[]) => void asked.push(wish.slice(0, 2)),
  };
  const context = {
    out: createOutput({ write: (text) => written.push(text), on: () => undefined, columns: 300 }, false),
    json,
    runtime: { now: () => nowMs, onInterrupt: () => () => undefined },
    api: () => api,
    note: (text: string) => notes.push(text),
    hint: (command: string) => `sluice ${command}`,
    writeJson: (value: unknown) => written.push(JSON.stringify(value)),
  };
  /** Lines without the heading, their columns set apart by one space. */
  const rows = () =>
    written
      .join("")
      .split("\n")
      .slice(1, -1)
      .map((line) => line.replaceAll(/ +/g, " "));
  return { context: context as unknown as Context, read: () => written.join(""), rows, notes, asked };
}

describe("sluice workers", () => {
  const use = {
    cpu: 0.254,
    memoryBytes: { used: 1_500_000_000, total: 8_000_000_000 },
    diskBytes: { free: 20_000_000_000, total: 50_000_000_000 },
  };

  it("shows state, slots, tasks, what the machine does and what is unusual", async () => {
    const { context, rows, notes } = createSetting({
      workers: [
        ofWorker({ use, instanceId: "i-7", build: "abc" }),
        ofWorker({
          state: "draining",
          slotsFree: 0,
          drainingSince: ago(40),
          drainCause: { kind: "requested", detail: "the worker is being drained" },
        }),
        ofWorker({ state: "lost", lastSeenAt: ago(300), use }),
        ofWorker({ health: { state: "recovering", attempt: 2, detail: "the disk is full" } }),
        ofWorker({ drainRequestedAt: ago(2), drainRequestedBy: "ann" }),
        ofWorker({ state: "stopped" }),
      ],
    });
    expect(await listWorkers(context, {})).toBe(0);
    expect(rows()).toEqual([
      "w-1 default alive 3/4 3 25 % 1.5 GB/8.0 GB 20 GB 1.2.0 (abc) 3 s ago i-7",
      "w-1 default draining 4/4 3 1.2.0 3 s ago draining since 40 s ago (the worker is being drained)",
      "w-1 default lost 4 3 1.2.0 5 min ago",
      "w-1 default alive 3/4 3 1.2.0 3 s ago recovering (attempt 2): the disk is full",
      "w-1 default alive 3/4 3 1.2.0 3 s ago asked to drain 2 s ago by ann",
    ]);
    expect(notes).toEqual(["5 workers, 1 of them lost"]);
  });

  it("shows those that stopped when asked, and those of one pool", async () => {
    const workers = [ofWorker({ state: "stopped", abandoned: 2 }), ofWorker({ pool: "large" })];
    const { context, rows } = createSetting({ workers });
    await listWorkers(context, { all: true, pool: "default" });
    expect(rows()).toEqual(["w-1 default stopped 4 1.2.0 3 s ago left 2 attempts behind"]);
    const none = createSetting({ workers });
    await listWorkers(none.context, { pool: "default" });
    expect(none.notes).toEqual(["no workers; those that stopped: --all"]);
  });

  it("asks several to drain, and to go on", async () => {
    const { context, asked, read } = createSetting();
    await drainWorkers(context, ["w-1", "w-2"]);
    await undrainWorkers(context, ["w-2"]);
    expect(asked).toEqual([
      ["w-1", "drain"],
      ["w-2", "drain"],
      ["w-2", "undrain"],
    ]);
    expect(read().split("\n")).toHaveLength(4);
  });
});

describe("sluice pools", () => {
  it("shows each pool's state and who was lost", async () => {
    const losses = [
      { workerId: "w-8", at: ago(400), replaced: false },
      { workerId: "w-9", at: ago(180), replaced: false },
    ];
    const workers = { starting: 0, alive: 0, draining: 0 };
    const { context, rows } = createSetting({
      pools: [
        ofPool({ desired: 5 }),
        ofPool({ state: "crashed", workers, slots: 0, slotsFree: 0, held: 0, losses, lastSeenAt: ago(200) }),
        {
          ...ofPool({ pool: "old", state: "scaled_down", configured: false, workers, slots: 0, slotsFree: 0, held: 0 }),
        },
      ],
    });
    await listPools(context);
    expect(rows()).toEqual([
      "default alive 2 alive, 1 draining of 5 2/8 2 just now",
      "default crashed none 0/0 0 3 min ago w-9 was lost 3 min ago (2 without another in their place)",
      "old scaled down none 0/0 0 just now not configured",
    ]);
  });

  it("tells the newest events, the newest last", async () => {
    const tasks = ["a", "b", "c", "d"].map((task) => ({ jobId: "j", task, attempt: 1 }));
    const { context, asked, read } = createSetting({
      events: [
        ofEvent(9, { type: "scale_down", from: 1, to: 0, kind: "lost" }),
        ofEvent(8, { type: "worker_lost", host: "h", from: "alive", lastSeenAt: ago(9), tasks }),
        ofEvent(7, { type: "recovery_failed", detail: "Docker is away" }),
        ofEvent(6, { type: "drain_requested", by: "ann" }),
        ofEvent(5, { type: "scale_up", from: 0, to: 1, kind: "started", recoveredFrom: "crashed" }),
        ofEvent(4, { type: "worker_undrained" }),
      ],
    });
    await listFleetEvents(context, { limit: 5, pool: "default" });
    expect(asked).toEqual([{ pool: "default" }]);
    const lines = read().trimEnd().split("\n");
    expect(lines.map((line) => line.replace(/^.{19} {2}default {2}/, ""))).toEqual([
      "0 → 1 worker (started, recovered from crashed)",
      "ann asked w-1 to drain",
      "w-1 recovery failed: Docker is away",
      "w-1 (h) is lost; it held j/a (attempt 1), j/b (attempt 1), j/c (attempt 1) and 1 other",
      "1 → 0 workers (lost)",
    ]);
  });

  it("forgets past workers page by page, after saying which", async () => {
    const dry = createSetting();
    await forgetPool(dry.context, "default", {});
    expect(dry.read()).toBe("w-1\nw-2\n");
    expect(dry.notes).toEqual(["2 records would be removed; to do it: sluice pools forget default --apply"]);
    const { context, read } = createSetting({ json: true });
    await forgetPool(context, "default", { apply: true });
    expect(JSON.parse(read())).toEqual({ pool: "default", applied: true, workers: ["w-1", "w-2"] });
  });

  it("says how many workers there should be", async () => {
    const { context, read } = createSetting();
    await desireWorkers(context, "default", 5);
    await desireWorkers(context, "default", null);
    expect(read()).toBe(
      "pool default should have 5 workers; it is degraded\npool default may have any number of workers\n",
    );
  });
});
