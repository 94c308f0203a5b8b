import { describe, expect, it } from "vitest";
import type { ArtifactList, LiveArtifact, LiveRequested } from "../../shared/api/schemas.ts";
import type { ClaimedTask } from "../../shared/api/worker-schemas.ts";
import { liveArtifactMs } from "../../shared/domain/live-artifact.ts";
import { artifactKey, liveArtifactKey, liveReportKey } from "../../shared/domain/object-keys.ts";
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
