import { createHash } from "node:crypto";
import { zstdCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ArtifactFilePage, ArtifactList, LiveArtifact, LiveRequested } from "../../shared/api/artifact-schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { formatMember } from "../../shared/domain/artifact-list.ts";
import { liveArtifactMs } from "../../shared/domain/live-artifact.ts";
import { artifactKey, artifactListKey, liveArtifactKey, liveReportKey } from "../../shared/domain/object-keys.ts";
import { timing } from "../../shared/domain/timing.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { ended, type FakeWorker, failedByInfrastructure } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const sha256 = "0".repeat(64);

interface Running {
  worker: FakeWorker;
  claimed: ClaimedTask;
  path: string;
  request: () => Promise<LiveRequested>;
  look: (id: string) => Promise<LiveArtifact>;
}

/** A job of one task that runs. */
async function startTask(): Promise<Running> {
  const worker = plane().createWorker();
  await worker.register();
  const { job } = await plane().call<{ job: string }>("/v1/jobs", { body: { spec: noopJob(["t"]) } });
  const claimed = await worker.claimOne();
  const path = `/v1/jobs/${job}/tasks/t/artifacts`;
  return {
    worker,
    claimed,
    path,
    request: () => plane().call(`${path}/live`, { body: {}, role: "submitter" }),
    look: (id) => plane().call(`${path}/live/${id}`, { role: "viewer" }),
  };
}

/** What a worker leaves for a request. */
async function answerRequest({ claimed }: Running, id: string): Promise<void> {
  const { jobId, task, attempt } = claimed;
  const key = liveArtifactKey(jobId, task, attempt, id);
  await plane().deps.objects.put(key, "packed", "application/zstd");
  const artifact = { key, name: "t.tar.zst", size: 6, sha256 };
  const report = { status: "stored", at: new Date(plane().clock.now()).toISOString(), artifact };
  await plane().deps.objects.put(liveReportKey(jobId, task, attempt, id), JSON.stringify(report), "application/json");
}

describe("artifacts", () => {
  it("are handed out until the job's time for them is over, and then told as expired", async () => {
    const running = await startTask();
    const { claimed, worker, path } = running;
    const keptUntil = new Date(plane().clock.now() + 60_000).toISOString();
    const key = artifactKey(claimed.jobId, "t", 1);
    const artifacts = [{ key, name: "t.tar.zst", size: 6, sha256, keptUntil, incomplete: "'x': gone" }];
    await plane().deps.objects.put(key, "packed", "application/zstd");
    await worker.report(claimed, ended({ state: "completed", exitCode: 0 }, { artifacts }));
    const list = () => plane().call<ArtifactList>(path);
    const {
      artifacts: [linked],
      ...rest
    } = await list();
    expect(rest).toEqual({ attempt: 1, status: "completed", expired: [] });
    expect(linked).toMatchObject({ name: "t.tar.zst", keptUntil, incomplete: "'x': gone" });
    expect(await (await fetch(linked?.url ?? "")).text()).toBe("packed");
    plane().clock.advance(60_000);
    expect(await list()).toEqual({
      attempt: 1,
      status: "completed",
      artifacts: [],
      expired: [{ name: "t.tar.zst", size: 6, sha256, keptUntil, incomplete: "'x': gone" }],
    });
  });
});

describe("the list of what is in an artifact", () => {
  it("is paged, found in, shown by folders, and gone with the artifact or damaged", async () => {
    const running = await startTask();
    const { claimed, worker, path } = running;
    const [jobId, key] = [claimed.jobId, artifactKey(claimed.jobId, "t", 1)];
    const paths = ["a/one.txt", "a/Two.txt", "b", ...Array.from({ length: 10 }, (_, at) => `c/${at}`)];
    const common = { kind: "file", size: 2, mode: 0o644, mtimeMs: 1_000 } as const;
    const packed = zstdCompressSync(paths.map((name) => formatMember({ ...common, path: name })).join(""));
    const listKey = artifactListKey(jobId, "t", 1);
    await plane().deps.objects.put(listKey, packed, "application/zstd");
    const hash = createHash("sha256").update(packed).digest("hex");
    const list = { key: listKey, size: packed.length, sha256: hash, members: 13 };
    const content = { members: 20, files: 20, bytes: 40 };
    const keptUntil = new Date(plane().clock.now() + 60_000).toISOString();
    const artifact = { key, name: "t.tar.zst", size: 6, sha256, keptUntil, content };
    const artifacts = [
      { ...artifact, list },
      { ...artifact, name: "old" },
      { ...artifact, name: "damaged", list: { ...list, key, sha256 } },
    ];
    await worker.report(claimed, ended({ state: "completed", exitCode: 0 }, { artifacts }));
    const read = (query: string, name = "t.tar.zst") =>
      plane().call<ArtifactFilePage>(`${path}/${name}/files${query}`, { role: "viewer" });
    const found = async (query: string) => (await read(query)).files.map((file) => file.path);

    const [linked] = (await plane().call<ArtifactList>(path)).artifacts;
    expect(linked).toMatchObject({ content, listed: 13 });
    expect(linked).not.toHaveProperty("list");
    const first = await read("?limit=7");
    expect(first).toMatchObject({ attempt: 1, name: "t.tar.zst", content, listed: 13 });
    expect(first.files[0]).toEqual({
      ...{ kind: "file", path: "a/one.txt", size: 2, mode: 0o644, mtime: "1970-01-01T00:00:01.000Z" },
    });
    const second = await read(`?limit=7&cursor=${first.cursor}`);
    expect([...first.files, ...second.files].map((file) => file.path)).toEqual(paths);
    expect(second.cursor).toBeUndefined();
    expect(await found("?prefix=a/")).toEqual(["a/one.txt", "a/Two.txt"]);
    expect(await found("?find=TWO")).toEqual(["a/Two.txt"]);
    expect((await read("?folder=")).files.map((file) => [file.path, file.files, file.bytes])).toEqual([
      ["a", 2, 4],
      ["b", undefined, undefined],
      ["c", 10, 20],
    ]);
    expect(await found("?folder=c/&limit=2&cursor=1")).toEqual(["c/1", "c/2"]);
    await expect(read("", "old")).rejects.toThrow("answered 404");
    await expect(read("", "damaged")).rejects.toThrow("answered 404");
    await expect(read("", "none")).rejects.toThrow("answered 404");
    plane().clock.advance(60_000);
    await expect(read("")).rejects.toThrow("answered 404");
  });
});

describe("what a running task has written so far", () => {
  it("is asked for by one request of its worker however many ask, until that is answered", async () => {
    const running = await startTask();
    const { worker, claimed, request, look } = running;
    const [one, two] = await Promise.all([request(), request()]);
    expect(two).toEqual(one);
    expect(await request()).toEqual(one);
    const beat = await worker.beat([claimed]);
    expect(beat.attempts[0]?.live).toEqual({ id: one.id, forMs: liveArtifactMs });
    expect(await look(one.id)).toEqual({ status: "pending" });
    await answerRequest(running, one.id);
    const found = await look(one.id);
    if (found.status !== "stored") throw new Error(found.status);
    expect(found.artifact).toMatchObject({ name: "t.tar.zst", size: 6, url: expect.any(String) });
    expect(found.artifact).not.toHaveProperty("key");
    expect(await (await fetch(found.artifact.url)).text()).toBe("packed");
    expect((await request()).id).not.toBe(one.id);
  });

  it("is told as over where the attempt has ended, also when another one runs, and is no longer asked for", async () => {
    const running = await startTask();
    const { worker, claimed, request, look } = running;
    const { id } = await request();
    await worker.report(claimed, failedByInfrastructure());
    expect(await look(id)).toEqual({ status: "ended" });
    await expect(request()).rejects.toThrow("it is queued");
    plane().clock.advance(60_000);
    const [again] = await worker.claim([{ jobId: claimed.jobId, task: "t", bucket: 0 }]);
    if (again?.status !== "claimed") throw new Error("not claimed");
    expect(await look(id)).toEqual({ status: "ended" });
    expect((await worker.beat([again])).attempts[0]).not.toHaveProperty("live");
    expect((await request()).attempt).toBe(2);
    await worker.report(again, ended({ state: "completed", exitCode: 0 }));
    await expect(request()).rejects.toThrow("has ended");
  });

  it("is told as lost where its worker is gone or does not store it in time", async () => {
    const { worker, claimed, request, look } = await startTask();
    const { id } = await request();
    plane().clock.advance(timing.leaseMs + 1);
    expect(await look(id)).toMatchObject({ status: "lost", detail: expect.stringContaining(worker.workerId) });
    await worker.beat([claimed]);
    expect(await look(id)).toEqual({ status: "pending" });
    plane().clock.advance(liveArtifactMs);
    await worker.beat([claimed]);
    expect(await look(id)).toMatchObject({ status: "lost", detail: expect.stringContaining("in time") });
    expect((await request()).id).not.toBe(id);
    await expect(look(`7-${"0".repeat(26)}`)).rejects.toThrow("nobody has asked");
  });
});
