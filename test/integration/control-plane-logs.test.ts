import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ApiLogLine, LogPage } from "../../shared/api/log-schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { createShipper } from "../support/control-plane-logs.ts";
import { readEvents } from "../support/control-plane-sse.ts";
import { completed, type FakeWorker, failedByInfrastructure } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

const numbered = (prefix: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => `${prefix}-${from + index}`);

async function startTask(): Promise<{ worker: FakeWorker; claimed: ClaimedTask; path: string }> {
  const steps = ["one", "two"].map((name) => ({ kind: "process" as const, name, entry: { command: ["true"] } }));
  const jobId = await plane().submit(noopJob(["a"], { steps }));
  const worker = plane().createWorker();
  return { worker, claimed: await worker.claimOne(), path: `/v1/jobs/${jobId}/tasks/a/logs` };
}

/** Two steps in five chunks: one-0 … one-6, two-0 … two-4. */
async function runLoggedTask() {
  const task = await startTask();
  const { ship } = createShipper(plane(), task.claimed);
  await ship(1, numbered("one", 3));
  await ship(1, numbered("one", 1, 3));
  await ship(1, numbered("one", 3, 4));
  await ship(2, numbered("two", 2));
  await ship(2, numbered("two", 3, 2));
  await task.worker.report(task.claimed, completed());
  await plane().foldAll();
  return task;
}

const allTexts = [...numbered("one", 7), ...numbered("two", 5)];
const textsOf = (lines: readonly ApiLogLine[]) => lines.map((line) => line.text);

async function readPages(path: string): Promise<LogPage[]> {
  const pages: LogPage[] = [];
  for (let cursor = ""; ; cursor = pages.at(-1)?.cursor ?? "") {
    const page = await plane().call<LogPage>(cursor ? `${path}&cursor=${cursor}` : path);
    pages.push(page);
    if (page.complete) return pages;
    if (pages.length > 60) throw new Error("the pages do not end");
  }
}

async function readStream(path: string, headers: Record<string, string> = {}) {
  const response = await plane().request(path, { headers: { accept: "text/event-stream", ...headers } });
  const events = await readEvents(response).readAll();
  const lines = events.filter(({ event }) => event === "line");
  return {
    texts: lines.map(({ data }) => (JSON.parse(data) as ApiLogLine).text),
    ids: lines.map(({ id }) => id ?? ""),
    ended: events.at(-1)?.event === "end",
  };
}

describe("pages of a log", () => {
  it.each([1, 2, 3, 5, 7, 100])(
    "of %i lines hold every line once and in order, across chunks and steps",
    async (limit) => {
      const { path } = await runLoggedTask();
      const pages = await readPages(`${path}?limit=${limit}`);
      expect(pages.flatMap((page) => textsOf(page.lines))).toEqual(allTexts);
      expect(pages.every((page) => page.lines.length <= limit)).toBe(true);
      expect(pages.flatMap((page) => page.lines.map((line) => line.line))).toEqual([
        ...numbered("", 7).keys(),
        ...numbered("", 5).keys(),
      ]);
    },
  );

  it("are of one step where one is asked for", async () => {
    const { path } = await runLoggedTask();
    const pages = await readPages(`${path}?limit=2&step=2`);
    expect(pages.flatMap((page) => textsOf(page.lines))).toEqual(numbered("two", 5));
  });

  it("are of one service where one is asked for, and those of steps hold nothing of services", async () => {
    const { worker, claimed, path } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    await ship("redis", numbered("redis", 3));
    await ship(1, numbered("one", 2));
    await ship("redis", numbered("redis", 2, 3));
    await ship("redis-2", ["another"]);
    await worker.report(claimed, completed());
    const pages = await readPages(`${path}?limit=2&service=redis`);
    expect(pages.flatMap((page) => textsOf(page.lines))).toEqual(numbered("redis", 5));
    expect(pages[0]?.lines[0]).toMatchObject({ line: 0, service: "redis" });
    expect(pages[0]?.lines[0]).not.toHaveProperty("step");
    expect((await readStream(`${path}?service=redis&tail=2`)).texts).toEqual(numbered("redis", 2, 3));
    expect((await readPages(`${path}?limit=9`)).flatMap((page) => textsOf(page.lines))).toEqual(numbered("one", 2));
    const text = await plane().request(`${path}?service=redis-2`, { headers: { accept: "text/plain" } });
    expect([await text.text(), text.headers.get("content-disposition")]).toEqual([
      "another\n",
      'inline; filename="a-service-redis-2.log"',
    ]);
    expect((await plane().request(`${path}?service=redis&step=1`)).status).toBe(400);
  });

  it("are not complete while the attempt may write more, and go on where they stopped", async () => {
    const { path, claimed, worker } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    await ship(1, ["first"]);
    const page = await plane().call<LogPage>(`${path}?limit=10`);
    expect(page).toMatchObject({ attempt: 1, complete: false, lines: [{ text: "first" }] });
    await ship(1, ["second"]);
    await worker.report(claimed, completed());
    const rest = await plane().call<LogPage>(`${path}?cursor=${page.cursor}`);
    expect(rest).toMatchObject({ complete: true, lines: [{ text: "second", line: 1 }] });
  });

  it("hold at most so many bytes, but at least one line", async () => {
    const { path, claimed, worker } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    const long = Array.from({ length: 6 }, (_, index) => `${index}`.padEnd(900_000, "x"));
    await ship(1, long);
    await worker.report(claimed, completed());
    const pages = await readPages(`${path}?limit=1000`);
    expect(pages.flatMap((page) => textsOf(page.lines))).toEqual(long);
    expect(Math.max(...pages.map((page) => page.lines.length))).toBe(2);
  });

  it("hold so many bytes also of what takes six times as many in an answer", async () => {
    const { path, claimed } = await startTask();
    await createShipper(plane(), claimed).ship(1, Array<string>(40).fill("\u0001".repeat(60_000)));
    const bytes = (await (await plane().request(`${path}?limit=1000`)).text()).length;
    expect(bytes).toBeGreaterThan(1_500_000);
    expect(bytes).toBeLessThan(2_500_000);
    expect((await (await plane().request(`${path}?tail=1000`)).text()).length).toBeLessThan(2_500_000);
  });

  it("say in one line what of a log cannot be read, and hold all that is around it, whichever way it is read", async () => {
    const { path, claimed } = await runLoggedTask();
    const prefix = stepLogPrefix(claimed.jobId, "a", 1, 1);
    const { objects } = await plane().deps.objects.list(prefix);
    // The chunk of lines 3 to 5, in the form of an earlier version: no runs behind the text.
    await plane().deps.objects.put(objects[1]?.key ?? "", zstdCompressSync("one-3\n"), "application/zstd");
    const notice = expect.stringMatching(/^\[sluice\] \d lines? \(\d+ bytes\) cannot be read: /);
    const expected = [...numbered("one", 3), notice, ...numbered("one", 3, 4), ...numbered("two", 5)];
    for (const limit of [1, 2, 100]) {
      expect((await readPages(`${path}?limit=${limit}`)).flatMap((page) => textsOf(page.lines))).toEqual(expected);
    }
    expect((await readStream(path)).texts).toEqual(expected);
    const page = await plane().call<LogPage>(`${path}?step=1&lines=3-3`);
    expect(page.lines).toMatchObject([{ line: 3, text: notice, stream: "stderr" }]);
    expect(textsOf((await plane().call<LogPage>(`${path}?step=1&tail=4`)).lines)).toEqual([
      notice,
      ...numbered("one", 3, 4),
    ]);
    const text = await (await plane().request(path, { headers: { accept: "text/plain" } })).text();
    expect(text.trimEnd().split("\n")).toEqual(expected);
    // What is behind it stands where it stood.
    const bytes = await plane().request(`${path}?step=1`, { headers: { range: "bytes=12-29" } });
    expect([bytes.status, (await bytes.text()).slice(-6)]).toEqual([206, "one-4\n"]);
    expect((await plane().request(`${path}?since=${encodeURIComponent(new Date(0).toISOString())}`)).status).toBe(200);
  });

  it("are of the newest attempt, or of the one named", async () => {
    const { path, claimed, worker } = await startTask();
    await createShipper(plane(), claimed).ship(1, ["of the first"]);
    await worker.report(claimed, failedByInfrastructure());
    const [second] = await worker.claim([{ jobId: claimed.jobId, task: "a", bucket: 0 }]);
    if (second?.status !== "claimed") throw new Error("not claimed");
    await createShipper(plane(), second).ship(1, ["of the second"]);
    expect(await plane().call(`${path}?limit=5`)).toMatchObject({ attempt: 2, lines: [{ text: "of the second" }] });
    const first = await plane().call<LogPage>(`${path}?attempt=1`);
    expect(first).toMatchObject({ attempt: 1, complete: true, lines: [{ text: "of the first" }] });
    expect((await plane().request(`${path}?attempt=3`)).status).toBe(404);
  });

  it("are empty and complete for a task cancelled before it ran", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().call(`/v1/jobs/${jobId}/tasks/a/cancel`, { body: {} });
    const path = `/v1/jobs/${jobId}/tasks/a/logs`;
    expect(await plane().call(path)).toMatchObject({ lines: [], complete: true });
    expect(await readStream(path)).toEqual({ texts: [], ids: [], ended: true });
  });

  it.each(["", "x", "1.1.1", "-1.1.1.1", "1.1.1.1.1", "{}"])("refuse the cursor %j", async (cursor) => {
    const { path } = await startTask();
    const response = await plane().request(`${path}?cursor=${encodeURIComponent(cursor)}`);
    if (cursor === "") expect(response.status).toBe(200);
    else expect(await response.json()).toMatchObject({ status: 400, code: "invalid_cursor" });
  });

  it("are not found for a job, a task or an attempt that is not there", async () => {
    const { claimed } = await startTask();
    for (const path of [
      `/v1/jobs/none-01ke6jq300q6vvx49qnd6cvxan/tasks/a/logs`,
      `/v1/jobs/${claimed.jobId}/tasks/b/logs`,
      `/v1/jobs/${claimed.jobId}/tasks/a/logs?attempt=2`,
    ]) {
      expect((await plane().request(path)).status).toBe(404);
    }
  });
});

describe("the tail of a log", () => {
  it.each([0, 1, 4, 5, 6, 11, 12, 100])("of %i lines is its end, and the cursor goes on after it", async (tail) => {
    const { path } = await runLoggedTask();
    const page = await plane().call<LogPage>(`${path}?tail=${tail}`);
    expect(textsOf(page.lines)).toEqual(tail === 0 ? [] : allTexts.slice(-tail));
    expect(page.complete).toBe(true);
    expect((await plane().call<LogPage>(`${path}?cursor=${page.cursor}`)).lines).toEqual([]);
  });

  it("holds at most so many bytes as one answer takes", async () => {
    const { path, claimed, worker } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    const long = Array.from({ length: 9 }, (_, index) => `${index}`.padEnd(900_000, "x"));
    await ship(1, long.slice(0, 4));
    await ship(1, long.slice(4));
    await worker.report(claimed, completed());
    const { lines } = await plane().call<LogPage>(`${path}?tail=5000`);
    expect(textsOf(lines)).toEqual(long.slice(-2));
  });
});

describe("a window of a log", () => {
  const readWindow = async (path: string, headers: Record<string, string> = {}) => {
    const response = await plane().request(path, { headers });
    return { status: response.status, range: response.headers.get("content-range"), body: await response.text() };
  };
  const refusal = (status: number, code: string) => ({ status, body: expect.stringContaining(`"code":"${code}"`) });

  it("is the lines that were named, page by page, as JSON and as text", async () => {
    const { path } = await runLoggedTask();
    const pages = await readPages(`${path}?step=1&lines=2-5&limit=3`);
    expect(pages.map((page) => textsOf(page.lines))).toEqual([numbered("one", 3, 2), ["one-5"]]);
    expect((await readPages(`${path}?step=2&lines=3-`)).flatMap(({ lines }) => textsOf(lines))).toEqual(
      numbered("two", 2, 3),
    );
    const text = await readWindow(`${path}?step=1&lines=2-5`, { accept: "text/plain" });
    expect(text.body).toBe(`${numbered("one", 4, 2).join("\n")}\n`);
    expect((await readWindow(`${path}?step=1&lines=7-`)).body).toContain('"lines":[]');
  });

  it("is the bytes of a Range header", async () => {
    const { path } = await runLoggedTask();
    const all = `${numbered("one", 7).join("\n")}\n`;
    const read = (range: string) => readWindow(`${path}?step=1`, { range: `bytes=${range}` });
    expect(await read("3-14")).toEqual({ status: 206, range: "bytes 3-14/42", body: all.slice(3, 15) });
    expect(await read("0-")).toEqual({ status: 206, range: "bytes 0-41/42", body: all });
    expect(await read("-5")).toEqual({ status: 206, range: "bytes 37-41/42", body: all.slice(-5) });
    expect(await read("40-1000")).toEqual({ status: 206, range: "bytes 40-41/42", body: all.slice(40) });
    expect(await read("42-")).toMatchObject({ range: "bytes */42", ...refusal(416, "range_not_satisfiable") });
    for (const range of ["5-2,7-8", "x", "-"]) expect(await read(range)).toMatchObject(refusal(400, "invalid_request"));
  });

  it("begins at a time, also in a stream", async () => {
    const { worker, claimed, path } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    await ship(1, ["early"]);
    plane().clock.advance(1_000);
    const since = new Date(plane().clock.now()).toISOString();
    await ship(1, ["later"]);
    await ship(2, ["last"]);
    await worker.report(claimed, completed());
    expect((await readPages(`${path}?since=${since}`)).flatMap(({ lines }) => textsOf(lines))).toEqual([
      "later",
      "last",
    ]);
    expect((await readStream(`${path}?since=${since}`)).texts).toEqual(["later", "last"]);
  });

  it("that is not there, or not one, is refused with what to do", async () => {
    const { path } = await runLoggedTask();
    expect(await readWindow(`${path}?step=1&lines=8-9`)).toMatchObject(refusal(416, "range_not_satisfiable"));
    for (const query of ["step=1&lines=5-4", "step=1&lines=1", "lines=0-1", "since=10m", "tail=1&step=1&lines=0-1"]) {
      expect(await readWindow(`${path}?${query}`)).toMatchObject(refusal(400, "invalid_request"));
    }
    expect(await readWindow(path, { range: "bytes=0-1" })).toMatchObject(refusal(400, "invalid_request"));
    const accept = "text/event-stream";
    expect(await readWindow(`${path}?step=1&lines=0-1`, { accept })).toMatchObject(refusal(400, "invalid_request"));
  });

  it("costs one read of the bucket, wherever it is", async () => {
    const { worker, claimed, path } = await startTask();
    const { ship } = createShipper(plane(), claimed);
    for (let chunk = 0; chunk < 20; chunk++) await ship(1, numbered("line", 50, chunk * 50));
    await worker.report(claimed, completed());
    for (const query of ["tail=10&step=1", "lines=510-520&step=1"]) {
      plane().requests.reset();
      await plane().call(`${path}?${query}`);
      const { "s3.GetObject": reads, "s3.ListObjectsV2": lists } = plane().requests.counts();
      expect([reads, lists]).toEqual([1, query.startsWith("tail") ? 1 : 3]);
    }
  });
});

describe("a log as text", () => {
  const readText = async (path: string) => {
    const response = await plane().request(path, { headers: { accept: "text/plain" } });
    expect(response.headers.get("content-type")).toContain("text/plain");
    return response.text();
  };

  it("is every line", async () => {
    const { path } = await runLoggedTask();
    expect(await readText(path)).toBe(`${allTexts.join("\n")}\n`);
    expect(await readText(`${path}?step=2`)).toBe(`${numbered("two", 5).join("\n")}\n`);
  });

  it("is the last lines where only those are asked for", async () => {
    const { path } = await runLoggedTask();
    expect(await readText(`${path}?tail=2`)).toBe("two-3\ntwo-4\n");
  });

  it("goes on after a cursor, also of an earlier attempt", async () => {
    const { path, claimed, worker } = await startTask();
    await createShipper(plane(), claimed).ship(1, ["first-0", "first-1"]);
    const { cursor } = await plane().call<LogPage>(`${path}?limit=1`);
    await worker.report(claimed, failedByInfrastructure());
    const [second] = await worker.claim([{ jobId: claimed.jobId, task: "a", bucket: 0 }]);
    if (second?.status !== "claimed") throw new Error("not claimed");
    await createShipper(plane(), second).ship(1, ["second-0", "second-1"]);
    expect(await readText(`${path}?cursor=${cursor}`)).toBe("first-1\n");
  });

  it("is cut where the bucket fails under it: half a log must not look like a whole one", async () => {
    const { path } = await runLoggedTask();
    const response = await plane().request(path, { headers: { accept: "text/plain" } });
    plane().requests.intercept(({ service }, send) =>
      service === "s3" ? Promise.reject(new Error("the bucket is away")) : send(),
    );
    await expect(response.text()).rejects.toThrow();
  });
});

describe("a followed log", () => {
  it("tells every line and ends with the task", async () => {
    const { path } = await runLoggedTask();
    expect(await readStream(path)).toMatchObject({ texts: allTexts, ended: true });
    expect(await readStream(`${path}?step=1`)).toMatchObject({ texts: numbered("one", 7), ended: true });
  });

  it("resumes after any line", async () => {
    const { path } = await runLoggedTask();
    const { ids } = await readStream(path);
    expect(new Set(ids).size).toBe(allTexts.length);
    for (const [index, id] of ids.entries()) {
      const rest = await readStream(path, { "last-event-id": id });
      expect(rest).toMatchObject({ texts: allTexts.slice(index + 1), ended: true });
    }
  });

  it("begins with the last lines where only those are asked for, but not again when it resumes", async () => {
    const { path } = await runLoggedTask();
    const { texts, ids } = await readStream(`${path}?tail=3`);
    expect(texts).toEqual(allTexts.slice(-3));
    expect((await readStream(`${path}?tail=3`, { "last-event-id": ids[1] ?? "" })).texts).toEqual(allTexts.slice(-1));
  });

  it("goes on with the next attempt, and with lines as they come", async () => {
    const { path, claimed, worker } = await startTask();
    const first = createShipper(plane(), claimed);
    await first.ship(1, ["first-0"]);
    const response = await plane().request(path, { headers: { accept: "text/event-stream" } });
    const reader = readEvents(response);
    expect(await reader.next()).toMatchObject({ data: expect.stringContaining("first-0") });
    await first.ship(1, ["first-1"]);
    expect(await reader.next()).toMatchObject({ data: expect.stringContaining("first-1") });
    expect(await worker.beat([claimed]).catch(() => undefined)).toBeUndefined();
    await worker.report(claimed, failedByInfrastructure());
    const [second] = await worker.claim([{ jobId: claimed.jobId, task: "a", bucket: 0 }]);
    if (second?.status !== "claimed") throw new Error("not claimed");
    await createShipper(plane(), second).ship(1, ["second-0"]);
    await worker.report(second, completed());
    const rest = await reader.readAll();
    expect(rest.map(({ event, data }) => (event === "line" ? (JSON.parse(data) as ApiLogLine).text : event))).toEqual([
      "second-0",
      "end",
    ]);
  });

  it("stays with the attempt that was named", async () => {
    const { path, claimed, worker } = await startTask();
    await createShipper(plane(), claimed).ship(1, ["first-0"]);
    await worker.report(claimed, failedByInfrastructure());
    expect(await readStream(`${path}?attempt=1`)).toMatchObject({ texts: ["first-0"], ended: true });
  });

  it("is told to the worker, so that it ships its lines soon", async () => {
    const { path, claimed, worker } = await startTask();
    await worker.register();
    expect(await worker.beat([claimed])).toMatchObject({ attempts: [{ watched: false }] });
    const response = await plane().request(path, { headers: { accept: "text/event-stream" } });
    await createShipper(plane(), claimed).ship(1, ["line"]);
    const reader = readEvents(response);
    await reader.next();
    expect(await worker.beat([claimed])).toMatchObject({ attempts: [{ watched: true }] });
    await reader.cancel();
  });
});
