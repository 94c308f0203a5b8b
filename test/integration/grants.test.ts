import type { SSMClient } from "@aws-sdk/client-ssm";
import type { DynamoDBRecord } from "aws-lambda";
import { describe, expect, it } from "vitest";
import { workOnChores } from "../../functions/consumers/chores.ts";
import { foldRecords } from "../../functions/consumers/fold.ts";
import { matchesAnyPattern } from "../../local/lambda/event-filter.ts";
import type { BlobUpload } from "../../shared/api/image-schemas.ts";
import type { DeadLetterPage } from "../../shared/api/schemas.ts";
import { createSsmSecretStore } from "../../shared/clients/ssm-secret-store.ts";
import { maxReceiveCount, timing } from "../../shared/domain/timing.ts";
import type { FunctionName } from "../../shared/infrastructure/functions.ts";
import { streamConsumers } from "../../shared/infrastructure/table.ts";
import { grants } from "../../stacks/grants.ts";
import { noopJob, taskNames } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { shipBlob } from "../support/control-plane-images.ts";
import { failedWith, released } from "../support/control-plane-worker.ts";
import { type IamAction, listIamActions } from "../support/iam-actions.ts";

const plane = useControlPlane();
const choreMs = 60_000;
/** More tasks than a submit creates itself: the rest is an `expand` chore. */
const largeJob = 150;
const largeBytes = 9 * 1024 * 1024;
const dayMs = 24 * 3600_000;

/** What workers and the platform's pollers ask of queues; no function takes messages itself. */
const ofQueueReaders = /^(ReceiveMessage|DeleteMessage|ChangeMessageVisibility)(Batch)?$/;

type Calls = Record<FunctionName, Set<IamAction>>;

/** Notes what each function asks of AWS. Functions are called one after the other, so that there is one at a time. */
function recordFunctions() {
  const calls: Calls = { api: new Set(), fold: new Set(), chores: new Set(), deadLetters: new Set(), sweep: new Set() };
  let running: FunctionName | undefined;
  plane().requests.intercept(async (request, send) => {
    const caller = running;
    if (caller === undefined || ofQueueReaders.test(request.operation)) return send();
    const note = (missing: boolean) => {
      for (const action of listIamActions(request, missing)) calls[caller].add(action);
    };
    try {
      const answer = await send();
      note(false);
      return answer;
    } catch (error) {
      note(error instanceof Error && ["NoSuchKey", "NotFound"].includes(error.name));
      throw error;
    }
  });
  const as = async <T>(name: FunctionName, work: () => Promise<T>): Promise<T> => {
    running = name;
    try {
      return await work();
    } finally {
      running = undefined;
    }
  };
  return { calls, as };
}

/** The control plane, each part of it called as the function it runs in. */
function createDriver() {
  const { calls, as } = recordFunctions();
  const { deps } = plane();
  const api = <T = unknown>(path: string, body?: unknown, method?: "PUT" | "DELETE") =>
    as("api", () => plane().call<T>(path, { ...(body === undefined ? {} : { body }), ...(method ? { method } : {}) }));
  const consume = async () => {
    for (;;) {
      const records = await plane().stream.readNew();
      if (records.length === 0) return;
      const wanted = (name: keyof typeof streamConsumers): DynamoDBRecord[] =>
        records.filter((record) => matchesAnyPattern(streamConsumers[name], record));
      const folded = wanted("fold");
      const chores = wanted("chores");
      if (folded.length > 0) await as("fold", () => foldRecords(deps, { Records: folded }));
      if (chores.length > 0) await as("chores", () => workOnChores(deps, { Records: chores }, choreMs));
    }
  };
  const sweep = () => as("sweep", () => plane().sweep());
  const submit = async (...job: Parameters<typeof noopJob>) => {
    const { job: jobId } = await api<{ job: string }>("/v1/jobs", { spec: noopJob(...job) });
    return jobId;
  };
  return { calls, as, api, consume, sweep, submit };
}

function listGrants(name: FunctionName): IamAction[] {
  return grants[name].flatMap(({ on, actions }) => actions.map((action): IamAction => `${action} on ${on}`));
}

describe("the grants of the functions", () => {
  it("are the calls they make: nothing is missing, nothing unused", async () => {
    const { calls, as, api, consume, sweep, submit } = createDriver();
    const worker = plane().createWorker();
    await as("api", () => worker.register());

    // A job that runs, with what people read of it.
    const small = await submit(["a", "b", "c"]);
    await api("/v1/jobs", { spec: noopJob(["a"]) });
    const first = await as("api", () => worker.claimOne());
    const { id: liveId } = await api<{ id: string }>(`/v1/jobs/${first.jobId}/tasks/${first.task}/artifacts/live`, {});
    await api(`/v1/jobs/${first.jobId}/tasks/${first.task}/artifacts/live/${liveId}`);
    await as("api", () => worker.beat([first]));
    await as("api", () => worker.report(first, failedWith(1)));
    await as("api", () => worker.runAll(() => failedWith(1)));
    await consume();
    for (const path of ["", "/tasks", "/events", "/tasks/a", "/tasks/a/why", "/tasks/a/logs", "/tasks/a/artifacts"]) {
      await api(`/v1/jobs/${small}${path}`);
    }
    const lists = ["/v1/jobs", "/v1/workers", "/v1/pools", "/v1/history/events", "/v1/overview"];
    for (const path of [...lists, `/v1/workers/${worker.workerId}`]) await api(path);
    await api("/v1/pools/default/desired", { desired: 1 }, "PUT");

    // A large one, with needs, that is expanded, cancelled, and tried again in part.
    const large = await submit(taskNames(largeJob));
    await consume();
    await api(`/v1/jobs/${large}/cancel`, {});
    await consume();
    await api(`/v1/jobs/${small}/retry`, {});
    await consume();
    const graph = await submit([], { tasks: [{ name: "x" }, { name: "y", needs: ["x"] }] });
    await api(`/v1/jobs/${graph}/tasks/y/why`);
    await api(`/v1/jobs/${graph}/tasks/x/cancel`, {});
    await consume();

    // Images: one that is there, one that is not, one that a claim links to.
    const imageId = `sha256:${"1".repeat(64)}`;
    const largeId = `sha256:${"2".repeat(64)}`;
    const upload = (digest: string, step: string, body: unknown) =>
      api<BlobUpload>(`/v1/images/${digest}/upload${step}`, body);
    await api("/v1/images", { blobs: [imageId] });
    await as("api", () => shipBlob(plane(), imageId));
    // One in parts, whose upload is given up by the bucket's rule, and is begun again.
    const begun = await upload(largeId, "", { bytes: largeBytes });
    if (begun.status !== "parts") throw new Error(`it is sent otherwise: ${begun.status}`);
    await upload(largeId, "", { bytes: largeBytes });
    const parts = { uploadId: begun.uploadId, sent: [{ part: 1, etag: "0".repeat(32) }] };
    await as("api", () =>
      plane().request(`/v1/images/${largeId}/upload/complete`, { body: { bytes: largeBytes, parts } }),
    );
    await submit(["i"], {
      steps: [{ kind: "container", name: "s", image: imageId, shipped: true, entry: { command: ["true"] } }],
    });
    await as("api", () => worker.runAll());

    // Attempts whose worker is lost, and messages nobody can use.
    await submit(["lost"]);
    await submit(["lost2"]);
    await as("api", () => worker.claimOne());
    const lost = await as("api", () => worker.claimOne());
    plane().clock.advance(timing.leaseMs + 1);
    await as("api", () => worker.claim([{ jobId: lost.jobId, task: lost.task, bucket: 0 }]));
    plane().clock.advance(3_600_000);
    await submit(["late"], { timeoutMs: 1_000 });
    await submit(taskNames(largeJob));
    plane().clock.advance(3_600_000);
    for (let round = 0; round < 3; round++) await sweep();
    await consume();

    await submit(["dead"]);
    // One whose message of the first attempt is still there when it waits for its second.
    const moved = { jobId: await submit(["moved"]), task: "moved", bucket: 0 };
    const [claim] = await as("api", () => worker.claim([moved]));
    if (claim?.status !== "claimed") throw new Error(`not claimed: ${JSON.stringify(claim)}`);
    await as("api", () => worker.report(claim, released()));
    const queue = plane().deps.pools.get("default")?.queue;
    for (let receives = 0; receives <= maxReceiveCount; receives++) {
      const messages = (await queue?.receive({ maxMessages: 10, waitSeconds: 0 })) ?? [];
      await queue?.changeVisibility(
        messages.map(({ receiptHandle }) => receiptHandle),
        0,
      );
    }
    await as("deadLetters", () => plane().settleDeadLetters());
    const { deadLetters } = await api<DeadLetterPage>("/v1/admin/dead-letters?pool=default");
    expect(deadLetters.length).toBeGreaterThan(0);
    await api("/v1/admin/redrive", { pool: "default", apply: true });
    await consume();

    // Images that nobody has used for long: removed by hand, and by themselves.
    plane().clock.advance(6.9 * dayMs);
    for (let round = 0; round < 3; round++) await sweep();
    plane().clock.advance(0.2 * dayMs);
    await sweep();
    await api("/v1/images?limit=1");
    await api("/v1/images/prune", { unusedDays: 7, apply: true });
    const unused = `sha256:${"3".repeat(64)}`;
    await upload(unused, "", { bytes: largeBytes });
    plane().clock.advance(31 * dayMs);
    for (let round = 0; round < 3; round++) await sweep();

    const names = Object.keys(grants) as FunctionName[];
    const made = names.map((name) => [name, [...calls[name]].sort()]);
    // Secrets are in another store here; the test below tells what theirs asks of AWS.
    const granted = names.map((name) => [
      name,
      listGrants(name)
        .filter((action) => !/^ssm:/.test(action))
        .sort(),
    ]);
    expect(Object.fromEntries(made)).toEqual(Object.fromEntries(granted));
  });

  it("of the API are those of its secrets", async () => {
    const asked = new Set<string>();
    const client = {
      async send(command: { constructor: { name: string } }) {
        asked.add(`ssm:${command.constructor.name.replace(/Command$/, "")}`);
        return {};
      },
    };
    const store = createSsmSecretStore(client as unknown as SSMClient, "/sluice/test/secrets");
    await store.get(["a"]);
    await store.put({ name: "a", updatedAt: new Date(0).toISOString() }, "v");
    await store.describe("a");
    await store.list({ limit: 10 });
    await store.delete("a");
    const granted = grants.api.flatMap(({ actions }) => actions).filter((action) => action.startsWith("ssm:"));
    expect([...asked].sort()).toEqual(granted.sort());
  });
});
