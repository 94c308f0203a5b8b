import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Task } from "../../shared/api/schemas.ts";
import { timing } from "../../shared/domain/timing.ts";
import { createClaimReader } from "../../shared/repository/claim-reads.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { shipBlob } from "../support/control-plane-images.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();
const pastLeaseMs = timing.leaseMs + 1;

describe("a claim of a task whose lease ran out", () => {
  it("starts the next attempt, and the lost one keeps its record with the reason", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const lost = await plane().createWorker().claimOne();
    plane().clock.advance(pastLeaseMs);
    const next = plane().createWorker();
    const [claim] = await next.claim([{ jobId, task: "a", bucket: 0 }]);
    expect(claim).toMatchObject({ status: "claimed", attempt: 2 });
    const task = await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
    expect(task.attempts).toMatchObject([
      { attempt: 1, endedAt: expect.any(String), outcome: { reason: { code: "worker_lost" } } },
      { attempt: 2, workerId: next.workerId },
    ]);
    expect(await plane().createWorker().report(lost, completed())).toEqual({ status: "lost" });
  });
});

describe("a claim of a task with resources", () => {
  it("tells what its containers may use for each slot", async () => {
    const steps = [{ kind: "container" as const, name: "step", image: "busybox:stable" }];
    const jobId = await plane().submit({ ...noopJob(["a"]), steps, resources: { cpus: 0.5, pids: 99 } });
    const [claim] = await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0 }]);
    expect(claim).toMatchObject({ status: "claimed", slots: 1, resources: { cpus: 0.5, pids: 99 } });
  });
});

describe("a request for several claims", () => {
  it("answers `wait` for the claim that failed and grants the others", async () => {
    const jobId = await plane().submit(noopJob(["a", "b", "c"]));
    plane().requests.intercept(async ({ operation, input }, send) => {
      const key = input.Key as { sk?: unknown } | undefined;
      if (operation === "UpdateItem" && JSON.stringify(key?.sk).includes("b")) throw new Error("the table is away");
      return send();
    });
    const worker = plane().createWorker();
    const claims = await worker.claim(["a", "b", "c"].map((task) => ({ jobId, task, bucket: 0 })));
    expect(claims.map((claim) => claim.status)).toEqual(["claimed", "wait", "claimed"]);
    plane().requests.intercept(undefined);
    expect(await worker.claim([{ jobId, task: "b", bucket: 0 }])).toMatchObject([{ status: "claimed", attempt: 1 }]);
  });

  it("drops what names no task, and grants the others", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const claims = await plane()
      .createWorker()
      .claim([
        { jobId: "", task: "", bucket: 0 },
        { jobId, task: "", bucket: 0 },
        { jobId, task: "x".repeat(3000), bucket: 0 },
        { jobId: "gone-01ke6jr09h4ae6mpxbwmwe0a24", task: "a", bucket: 0 },
        { jobId, task: "a", bucket: 9999 },
        { jobId, task: "a", bucket: 0 },
      ]);
    expect(claims.map((claim) => claim.status)).toEqual(["drop", "drop", "drop", "drop", "drop", "claimed"]);
  });

  it("grants a task named twice once", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const claims = await plane()
      .createWorker()
      .claim([
        { jobId, task: "a", bucket: 0 },
        { jobId, task: "a", bucket: 0 },
      ]);
    expect(claims.map((claim) => claim.status).sort()).toEqual(["claimed", "wait"]);
  });
});

describe("the memory of specs", () => {
  it("keeps a spec for a claim under way, also when it is pushed out meanwhile", async () => {
    const [first, second] = [await plane().submit(noopJob(["a"])), await plane().submit(noopJob(["a"]))];
    const read = createClaimReader(plane().table, { maxRememberedBytes: 1 });
    const addressOf = (jobId: string) => ({ jobId, task: "a", bucket: 0 });
    await read([addressOf(first)]);
    const secondRead = Promise.withResolvers<void>();
    plane().requests.intercept(async ({ input }, send) => {
      if (JSON.stringify(input).includes(first)) await secondRead.promise;
      return send();
    });
    const underWay = read([addressOf(first)]);
    await read([addressOf(second)]);
    secondRead.resolve();
    expect((await underWay).spec(first)).toBeDefined();
  });
});

describe("a claim whose write was made, but not answered", () => {
  it("is granted: the lease bears its token", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    plane().requests.intercept(async ({ operation }, send) => {
      // As the SDK does when the connection breaks before the answer.
      if (operation === "UpdateItem") await send();
      return send();
    });
    const worker = plane().createWorker();
    const [claim] = await worker.claim([{ jobId, task: "a", bucket: 0 }]);
    plane().requests.intercept(undefined);
    if (claim?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claim)}`);
    expect(await worker.report(claim, completed())).toEqual({ status: "accepted" });
  });
});

describe("a claim that is sent again because nobody answered it", () => {
  const claimAgain = async (jobId: string, leaseToken: string) => {
    const [claim] = await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0, leaseToken }]);
    return claim;
  };

  it("is granted again as the same attempt, with a whole lease", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const leaseToken = randomUUID();
    const first = await claimAgain(jobId, leaseToken);
    plane().clock.advance(timing.leaseMs - 1);
    const second = await claimAgain(jobId, leaseToken);
    expect(second).toEqual(first);
    plane().clock.advance(timing.leaseMs - 1);
    expect(await claimAgain(jobId, randomUUID())).toMatchObject({ status: "wait" });
    if (second?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(second)}`);
    expect(await plane().createWorker().report(second, completed())).toEqual({ status: "accepted" });
    const task = await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
    expect(task).toMatchObject({ status: "completed", attempts: [{ attempt: 1 }] });
    expect(await claimAgain(jobId, leaseToken)).toMatchObject({ status: "drop" });
  });

  it("is not granted again where the task was taken from it meanwhile", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    const leaseToken = randomUUID();
    await claimAgain(jobId, leaseToken);
    plane().clock.advance(timing.leaseMs + 1);
    expect(await claimAgain(jobId, randomUUID())).toMatchObject({ status: "claimed", attempt: 2 });
    expect(await claimAgain(jobId, leaseToken)).toMatchObject({ status: "wait" });
  });

  it("is told as granted where the table took the write and never answered", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    plane().requests.intercept(async ({ operation }, send) => {
      const answer = await send();
      if (operation === "UpdateItem") throw new Error("socket hang up");
      return answer;
    });
    expect(await claimAgain(jobId, randomUUID())).toMatchObject({ status: "claimed", attempt: 1 });
    plane().requests.intercept(undefined);
  });
});

describe("a claim whose answer cannot be put together", () => {
  it("takes no lease, so that another worker can claim the task at once", async () => {
    const imageId = `sha256:${"a".repeat(64)}`;
    await shipBlob(plane(), imageId);
    const steps = [{ kind: "container" as const, name: "test", image: imageId, shipped: true }];
    const jobId = await plane().submit(noopJob(["a"], { steps }));
    const broken = plane().startProcess();
    const objects = { ...broken.objects, presignGet: () => Promise.reject(new Error("no credentials")) };
    const claims = [{ jobId, task: "a", bucket: 0, leaseToken: randomUUID() }];
    const call = { body: { claims }, role: "worker" as const, app: { ...broken, objects } };
    expect(await plane().call("/v1/workers/w-1/claims", call)).toMatchObject({ claims: [{ status: "wait" }] });
    expect(await plane().createWorker().claim(claims)).toMatchObject([
      { status: "claimed", attempt: 1, images: { [imageId]: expect.stringContaining("X-Amz-Signature") } },
    ]);
  });
});

describe("a claim of a queued task of a cancelled job", () => {
  it("ends the task", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    expect(
      await plane()
        .createWorker()
        .claim([{ jobId, task: "a", bucket: 0 }]),
    ).toMatchObject([{ status: "drop" }]);
    const task = await plane().call<Task>(`/v1/jobs/${jobId}/tasks/a`);
    expect(task).toMatchObject({ status: "aborted", attempt: 0, reason: { code: "cancelled" } });
  });

  it("keeps its message where another worker claimed the task just before", async () => {
    const jobId = await plane().submit(noopJob(["a"]));
    let won = false;
    await plane().call(`/v1/jobs/${jobId}/cancel`, { body: {} });
    const stale = await plane().deps.tasks.get(jobId, 0, "a");
    plane().requests.intercept(async ({ operation }, send) => {
      if (operation === "UpdateItem" && !won && stale) {
        won = true;
        const claim = { workerId: "w", leaseToken: "t", timeoutMs: 1000, nowMs: plane().clock.now() };
        await plane().deps.tasks.claim(stale, claim);
      }
      return send();
    });
    expect(
      await plane()
        .createWorker()
        .claim([{ jobId, task: "a", bucket: 0 }]),
    ).toMatchObject([{ status: "wait" }]);
  });
});
