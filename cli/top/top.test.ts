import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Overview } from "../../shared/api/overview-schemas.ts";
import type { JobSpecAnswer, Pool, Worker } from "../../shared/api/schemas.ts";
import { type ApiClient, ApiError, ConnectionError, type StreamStatus } from "../../shared/api-client/index.ts";
import { eventually } from "../../test/support/eventually.ts";
import { createFakeJob, type FakeJob } from "../../test/support/fake-job.ts";
import { plainStyle } from "../terminal/style.ts";
import { textWidth } from "../terminal/text.ts";
import { Top } from "./app.ts";
import { FleetFeed } from "./fleet-feed.ts";
import { FleetView } from "./fleet-view.ts";

const startMs = Date.UTC(2026, 0, 5, 12);
const ago = (seconds: number) => new Date(startMs - seconds * 1000).toISOString();
const pool = (name: string, change: Partial<Pool> = {}): Pool => ({
  ...{ pool: name, state: "alive", configured: true, workers: { starting: 0, alive: 2, draining: 0 } },
  ...{ slots: 8, slotsFree: 6, held: 2, more: false, losses: [] },
  ...change,
});
const worker = (workerId: string, change: Partial<Worker> = {}): Worker => ({
  ...{ workerId, pool: "default", state: "alive", slots: 4, slotsFree: 1, held: 3, provider: "local", host: "h" },
  ...{ version: "1.2.0", startedAt: ago(100), lastSeenAt: ago(3) },
  ...change,
});

const serviceLine = { line: 0, at: ago(1), stream: "stdout", text: "ready" } as const;

/** The screen on an API whose answers tests hold in their hands. */
function openTop(jobs: FakeJob[], size = { columns: 100, rows: 26 }) {
  let nowMs = startMs;
  const drawn: string[][] = [];
  const asked: unknown[][] = [];
  const overview = (): Overview => ({
    at: ago(0),
    pools: [pool("default"), pool("large", { state: "crashed" })],
    queues: [{ pool: "default", visible: 12_345, inFlight: 2, delayed: 0, deadLetters: 1, oldestQueuedAt: ago(90) }],
    jobs: {
      active: jobs.map(({ job }) => ({ ...job, counts: { ...job.counts } })),
      activeCount: 7,
      more: true,
      ended: [],
    },
    failures: {
      ...{ since: ago(86_400), jobs: 1, more: false },
      reasons: [{ code: "exit_code", fault: "user", attempts: 3, jobs: 1, lastJob: jobs[0]?.id ?? "" }],
    },
  });
  let tell: (change: Overview) => void = () => undefined;
  let tellStatus: (status: StreamStatus) => void = () => undefined;
  let reconnectWorkers: () => void = () => undefined;
  let refusal: Error | undefined;
  const act = async <T>(answer: T, ...what: unknown[]): Promise<T> => {
    asked.push(what);
    if (refusal) throw refusal;
    return answer;
  };
  const until = (signal: AbortSignal | undefined) =>
    new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  const find = (id: string) => jobs.find((job) => job.id === id) ?? Promise.reject(new Error("no such job"));
  const api: Partial<ApiClient> = {
    url: "http://control.test:4400",
    followOverview: async function* (_parts, { signal, onStatus } = {}) {
      tellStatus = (status) => onStatus?.(status);
      for (;;) {
        const { promise, resolve } = Promise.withResolvers<Overview>();
        tell = resolve;
        yield await Promise.race([promise, until(signal)]);
      }
    },
    followWorkers: async function* ({ signal, onStatus } = {}) {
      onStatus?.({ status: "connected" });
      yield { kind: "worker", worker: worker("w-0", { state: "stopped", abandoned: 2 }) };
      yield { kind: "worker", worker: worker("w-1") };
      yield { kind: "worker", worker: worker("w-2", { pool: "large", state: "draining", drainRequestedAt: ago(9) }) };
      yield { kind: "ready" };
      const reconnected = Promise.withResolvers<void>();
      reconnectWorkers = reconnected.resolve;
      await Promise.race([reconnected.promise, until(signal)]);
      onStatus?.({ status: "connected" });
      yield { kind: "worker", worker: worker("w-1", { state: "stopped" }) };
      yield { kind: "ready" };
      await until(signal);
    },
    getJob: async (id) => structuredClone((await find(id)).job),
    listTasks: async (id) => ({ tasks: [...(await find(id)).tasks.values()] }),
    followEvents: async function* (id, after, { signal } = {}) {
      const job = await find(id);
      for (let at = after; ; at++) {
        while (job.events.length <= at) {
          await Promise.race([new Promise((resolve) => job.changes.once("change", resolve)), until(signal)]);
        }
        const event = job.events[at];
        if (event) yield event;
      }
    },
    explainTask: async (job, task) => ({
      ...{ job, task, status: "failed", code: "failed", facts: [], at: "" },
      summary: `${task} failed because of \u001b[2Jthis`,
    }),
    getTask: async (id, name) => structuredClone((await find(id)).tasks.get(name)) ?? Promise.reject(new Error("none")),
    getJobSpec: async (job) => ({ job, spec: { services: { db: {} } } }) as unknown as JobSpecAnswer,
    followLog: async function* (id, task, { service } = {}, { signal } = {}) {
      if (service !== undefined) yield { line: { ...serviceLine, service }, cursor: undefined };
      else for (const line of (await find(id)).lines(task)) yield { line, cursor: `1.1.1.${line.line}` };
      await until(signal);
    },
    readLog: async () => ({ attempt: 1, lines: [], cursor: "", complete: true }),
    getWorker: async (workerId) => ({
      ...worker(workerId),
      ...{
        tasks: [{ job: jobs[0]?.id ?? "", task: "t0", attempt: 1, claimedAt: ago(30), status: "running" }],
        events: [],
      },
    }),
    cancelJob: (job) => act({ job, status: "cancelling" }, "cancel", job),
    cancelTask: (job, task) => act({ job, task, status: "already_ended" }, "cancel", job, task),
    retryTasks: (job, tasks) => act({ job, status: "retrying", tasks: ["a"], dependants: 2 }, "retry", job, tasks),
    askWorker: (...wish) => act(undefined, ...wish.slice(0, 2)),
    listJobs: async () => ({ jobs: [createFakeJob("older", ["a"]).job] }),
  };
  const top = new Top({
    api: api as ApiClient,
    now: () => nowMs,
    style: plainStyle,
    size: () => size,
    draw: (lines) => drawn.push([...lines]),
    suspend: () => asked.push(["suspend"]),
  });
  const feed = new FleetFeed({
    ...{ api: api as ApiClient, first: overview(), now: () => nowMs },
    onChange: () => view.noteChange(),
    onFailure: (error) => top.fail(error),
  });
  const view = new FleetView(top, feed);
  top.open(view);
  const screen = () => {
    const lines = top.render();
    for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(size.columns);
    expect(lines.length).toBeLessThanOrEqual(size.rows);
    return lines.join("\n");
  };
  return {
    ...{ top, screen, asked, drawn, size },
    press: (...names: string[]) => {
      for (const name of names) top.press(name.length === 1 ? { name, text: name } : { name });
    },
    /** Waits until the screen shows it. */
    until: (pattern: RegExp) => eventually(() => pattern.test(screen()), `${pattern} on\n${screen()}`, 5_000),
    said: () => top.render().at(-2),
    change: () => tell(overview()),
    status: (status: StreamStatus) => tellStatus(status),
    /** The workers' stream is replaced: of three one is left, and that has stopped. */
    reconnectWorkers: () => reconnectWorkers(),
    refuse: (error: Error) => {
      refusal = error;
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

let hello: FakeJob;
let big: FakeJob;
let on: ReturnType<typeof openTop>;
const failed = { exitCode: 7, reason: { code: "exit_code", detail: "step-1 exited with 7", fault: "user" } } as const;

beforeEach(() => {
  hello = createFakeJob("hello", ["a", "b", "c"]);
  hello.move("a", "running", { workerId: "w-1" });
  hello.move("b", "running", { workerId: "w-1" });
  hello.move("b", "failed", failed);
  big = createFakeJob(
    "big",
    Array.from({ length: 300 }, (_, index) => `t${index}`),
  );
  on = openTop([hello, big]);
});

afterEach(() => on.top.interrupt());

describe("sluice top", () => {
  it("shows pools with their queues, workers with their slots, jobs with their progress", async () => {
    await on.until(/w-2/);
    const text = on.screen();
    expect(text).toMatch(/^sluice top › overview +control\.test:4400\n/);
    expect(text).toMatch(/POOLS 2 .*\n {2}default +alive +2 +█+░+ +2\/8 +12,345 .*1 min 30 s +1/);
    expect(text).toMatch(/large +crashed .*\?/);
    expect(text).toMatch(/WORKERS 2 .*\n {2}w-1 +alive +█+░+ +3\/4 +3 .*\n {2}w-2 +draining +█+ +4\/4 /);
    expect(text).toMatch(/JOBS 7\+ active .*\n❯ hello-\S+ +▸ running +█+▒+░+ +1\/3 +1 +1 /);
    expect(text).toMatch(/\n {2}big-\S+ +· queued +░+ +0\/300 /);
    hello.move("a", "completed");
    on.change();
    await on.until(/hello-\S+ +▸ running +█+░+ +2\/3/);
  });

  it("goes from list to list, and shows the chosen one alone where there is little room", async () => {
    await on.until(/w-2/);
    on.press("1", "enter");
    expect(on.screen()).toMatch(/› overview › pool default [\s\S]*WORKERS 1 [\s\S]*JOBS 2 found/);
    on.press("escape", "tab", "j");
    expect(on.screen()).toMatch(/WORKERS 2 .*\n.*\n❯ w-2/);
    on.press("z");
    expect(on.screen()).not.toMatch(/POOLS|JOBS/);
    on.press("z", "4");
    expect(on.screen()).toMatch(/FAILURES in 24 h .*\n❯ a step failed +3 +1 +user +hello-/);
    Object.assign(on.size, { columns: 40, rows: 10 });
    on.press("3");
    expect(on.screen()).toMatch(/^sluice top › overvi.*\n {2}JOBS 7\+ active +STATE\n❯ hello-/);
    Object.assign(on.size, { columns: 39 });
    expect(on.screen()).toBe("too small: 39 × 10\nneeded: 40 × 10\nq quits");
    // A question that nobody sees is answered by nothing.
    Object.assign(on.size, { columns: 40 });
    on.press("c");
    Object.assign(on.size, { columns: 39 });
    on.press("y", "c", "y");
    Object.assign(on.size, { columns: 40 });
    expect([on.said()?.endsWith("[y/N]"), on.asked]).toEqual([true, []]);
  });

  it("opens a job: its tasks as they move, by group and name, and why the chosen one is where it is", async () => {
    on.press("enter");
    await on.until(/❯ a +▸ running/);
    expect(on.screen()).toContain("not completed: a step failed 1");
    expect(on.screen()).toMatch(/\[1 all 3\] {2}2 running 1 {2}3 problems 1 {2}4 waiting 1 {2}5 completed 0/);
    on.press("j");
    await on.until(/why: b failed because of ·\[2Jthis/);
    expect(on.screen()).toMatch(/❯ b +✗ failed +[\d.]+ s +w-1 +step-1 exited with 7/);
    on.press("4");
    expect(on.screen()).toMatch(/\[4 waiting 1\][\s\S]*❯ c +· queued/);
    hello.move("c", "running");
    await on.until(/\[4 waiting 0\][\s\S]*no such tasks/);
    on.press("1", "/", "b", "enter");
    expect(on.screen()).toMatch(/with "b": 1\n.*\n❯ b /);
    on.press("escape");
    expect(on.screen()).toMatch(/❯ b [\s\S]* c /);
    on.press("escape");
    expect(on.screen()).toContain("› overview");
  });

  it("follows a log, searches it, and shows nothing of what would move the cursor", async () => {
    hello.log("a", "first");
    for (let index = 1; index < 60; index++) hello.log("a", `line ${index} \u001b[2J\u001b]0;title\u0007`);
    on.press("enter");
    await on.until(/❯ a /);
    on.press("l");
    await on.until(/line 59/);
    expect(on.screen()).toMatch(/running +follows the end\n/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    expect(on.screen()).not.toMatch(/[\u0007\u001b]/);
    on.press("home");
    expect(on.screen()).toMatch(/row 1 of 61\n── step 1 ─+\nfirst\nline 1/);
    on.press("/", ..."LINE 33", "enter");
    expect(on.screen()).toMatch(/match in row 35\n[\s\S]*line 33/);
    on.press("/", ..."nowhere", "enter");
    expect(on.said()).toBe('"nowhere" is not in the lines that are here');
    on.press("G", "t");
    expect(on.screen()).toMatch(/\n\d\d:\d\d:\d\d\.\d{3} line 59/);
    on.press("t", "s");
    await on.until(/› a › db › log .*\n.*\n── db ─+\nready\n/);
    on.press("s");
    await on.until(/› a › log .*\n[\s\S]*line 59/);
  });

  it("cancels only after a y, says what became of it, and in the API's words what it refuses", async () => {
    on.press("c");
    expect(on.said()).toMatch(/^cancel job hello-\S+\? \[y\/N\]$/);
    on.press("enter");
    expect([on.said(), on.asked]).toEqual(["nothing was done", []]);
    on.press("c", "y");
    await eventually(() => /^cancelling job hello-/.test(on.said() ?? ""), "the answer");
    expect(on.asked.splice(0)).toEqual([["cancel", hello.id]]);
    Object.assign(hello.job, { status: "aborted" });
    on.change();
    await eventually(() => /^job hello-\S+ has ended: aborted/.test(on.said() ?? ""), "the end");
    Object.assign(hello.job, { status: "running" });
    on.press("enter");
    await on.until(/❯ a /);
    on.press("c", "y");
    await eventually(() => /^a of hello-\S+ has ended already; nothing to cancel/.test(on.said() ?? ""), "the answer");
    on.press("C", "y");
    await eventually(() => /^cancelling job/.test(on.said() ?? ""), "the answer");
    for (const task of ["a", "c"]) hello.move(task, "aborted");
    await eventually(() => /^job hello-\S+ has ended: /.test(on.said() ?? ""), "the end");
    on.press("escape");
    on.asked.length = 0;
    const detail = "the role viewer may not do this";
    on.refuse(new ApiError({ status: 403, code: "forbidden", detail }));
    on.press("r", "y");
    await eventually(() => on.said()?.includes(detail), "the refusal");
    expect(on.asked).toEqual([["retry", hello.id, undefined]]);
  });

  it("lets workers drain and go on, and shows what one holds", async () => {
    await on.until(/w-2/);
    on.press("2", "d");
    expect(on.said()).toBe("drain w-1? It finishes 3 tasks and ends. [y/N]");
    on.press("y");
    await eventually(() => on.said()?.includes("w-1 drains"), "the answer");
    on.press("j", "d", "y");
    await eventually(() => on.said()?.includes("w-2 goes on"), "the answer");
    expect(on.asked).toEqual([
      ["w-1", "drain"],
      ["w-2", "undrain"],
    ]);
    on.press("enter");
    await on.until(/TASKS 1 .*\n❯ t0 +hello-\S+ +▸ running +1 +30 s/);
    on.press("escape");
    on.reconnectWorkers();
    await on.until(/WORKERS 0 .*\n {2}no workers\n/);
    expect(on.said()).toBe("worker w-1 is stopped");
    on.press("a");
    expect(on.screen()).toMatch(/WORKERS 1 .*\n❯ w-1 +stopped/);
  });

  it("does nothing with what is pasted but where a text is asked for", async () => {
    on.top.press({ name: "paste", text: "cyq" });
    expect([on.said(), on.asked]).toEqual(["", []]);
    on.press("/");
    on.top.press({ name: "paste", text: "older" });
    on.press("enter");
    await on.until(/› overview › jobs with "older" [\s\S]*JOBS 1 found .*\n❯ older-/);
  });

  it("says since when it has no contact, and goes on when it is back", async () => {
    const error = new ConnectionError("refused", "http://control.test", "nobody listens");
    await on.until(/w-2/);
    on.status({ status: "lost", error, retryInMs: 200, lostForMs: 0 });
    // Streams are replaced now and then: that is not told.
    on.pass(1_000);
    expect(on.screen()).not.toContain("contact lost");
    on.pass(11_000);
    on.status({ status: "lost", error, retryInMs: 200, lostForMs: 11_000 });
    expect(on.screen()).toMatch(/^sluice top › overview +contact lost for 12 s, trying again\n/);
    on.status({ status: "connected" });
    expect(on.screen()).not.toContain("contact lost");
  });

  it("tells its keys, and ends by q or Ctrl-C", async () => {
    on.press("?");
    expect(on.screen()).toMatch(/drain the worker[\s\S]*Ctrl-Z/);
    on.press("escape", "ctrl-z", "q");
    expect([await on.top.ended, on.asked]).toEqual([{ kind: "quit" }, [["suspend"]]]);
    const other = openTop([]);
    expect(other.screen()).toContain("no jobs yet");
    other.press("ctrl-c");
    expect(await other.top.ended).toEqual({ kind: "interrupted" });
  });

  it("draws no more often than it can be seen, however much comes in", async () => {
    await eventually(() => on.drawn.length > 0, "the first drawing");
    const before = on.drawn.length;
    for (let times = 0; times < 1_000; times++) on.top.redraw();
    expect(on.drawn.length).toBe(before);
    await eventually(() => on.drawn.length > before, "the next drawing");
    expect(on.drawn.length - before).toBe(1);
  });
});
