import { createHash } from "node:crypto";
import { PutCommand } from "@aws-sdk/lib-dynamodb";
import { describe, expect, it } from "vitest";
import type { BlobUpload, ImageBlobPage, ImagePrune, ImageStatus, PartLinks } from "../../shared/api/image-schemas.ts";
import type { JobSpecInput } from "../../shared/jobfile/job-spec.ts";
import { specKey } from "../../shared/repository/keys.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { blobDigest, shipBlob } from "../support/control-plane-images.ts";
import { completed, failedWith } from "../support/control-plane-worker.ts";

const plane = useControlPlane({ limits: { imageGigabytes: 1 } });
const dayMs = 24 * 3600_000;
const partBytes = 8 * 1024 * 1024;
const [first, second, third] = [blobDigest("first"), blobDigest("second"), blobDigest("third")];

const findMissing = async (...blobs: string[]) => {
  const { missing } = await plane().call<ImageStatus>("/v1/images", { body: { blobs }, role: "submitter" });
  return missing.map(({ digest }) => digest);
};
const begin = (digest: string, bytes: number) =>
  plane().call<BlobUpload>(`/v1/images/${digest}/upload`, { body: { bytes }, role: "submitter" });
const complete = (digest: string, body: unknown) =>
  plane().request(`/v1/images/${digest}/upload/complete`, { body, role: "submitter" });
const prune = (body: object = {}) => plane().call<ImagePrune>("/v1/images/prune", { body, role: "operator" });
const submit = (...blobs: [string, ...string[]]) => {
  const [image, ...layers] = blobs;
  const steps: JobSpecInput["steps"] = [{ kind: "container", name: "s", image, shipped: true, layers }];
  return plane().submit(noopJob(["a"], { steps }));
};

async function beginParts(digest: string, bytes: number) {
  const upload = await begin(digest, bytes);
  if (upload.status !== "parts") throw new Error(`it is sent otherwise: ${upload.status}`);
  return upload;
}

/** Sends a part by its link and answers its entity tag. */
async function sendPart(digest: string, uploadId: string, part: number, content: Buffer): Promise<string> {
  const path = `/v1/images/${digest}/upload/parts`;
  const { links } = await plane().call<PartLinks>(path, { body: { uploadId, parts: [part] }, role: "submitter" });
  const put = await fetch(links[0]?.url ?? "", { method: "PUT", body: new Uint8Array(content) });
  expect(put.status).toBe(200);
  return createHash("md5").update(content).digest("hex");
}

/** Days pass, and the sweep runs as it does every minute. */
async function passDays(days: number): Promise<void> {
  for (let halves = 0; halves < 2 * days; halves++) {
    plane().clock.advance(dayMs / 2);
    await plane().sweep();
  }
}

describe("blobs of images", () => {
  it("are uploaded by a link, each once, and are there when that was said", async () => {
    expect(await findMissing(first, second, second)).toEqual([first, second]);
    const early = await begin(first, 6);
    expect(early).toMatchObject({ status: "piece" });
    expect((await complete(first, { bytes: 6 })).status).toBe(409);
    await shipBlob(plane(), first);
    expect(await findMissing(first, second)).toEqual([second]);
    expect(await begin(first, 6)).toEqual({ status: "stored" });
    expect((await complete(first, { bytes: 6 })).status).toBe(200);
  });

  it("have names that are digests, or are refused", async () => {
    const response = await plane().request("/v1/images", { body: { blobs: ["../../etc/passwd"] } });
    expect(await response.json()).toMatchObject({
      status: 400,
      code: "invalid_request",
      problems: [{ path: "blobs[0]" }],
    });
    expect((await plane().request("/v1/images/..%2Fx/upload", { body: { bytes: 1 } })).status).toBe(400);
  });

  it("that are large go on where they were, whoever sends them, and are not completed by other parts", async () => {
    const content = Buffer.alloc(partBytes + 1_000, "x");
    const { uploadId, ...begun } = await beginParts(first, content.length);
    expect(begun).toEqual({ status: "parts", partBytes, arrived: [] });
    const etag = await sendPart(first, uploadId, 1, content.subarray(0, partBytes));
    expect(await beginParts(first, content.length)).toMatchObject({ uploadId, arrived: [{ part: 1, etag }] });
    const last = await sendPart(first, uploadId, 2, content.subarray(partBytes));
    const sent = [etag, last].map((tag, index) => ({ part: index + 1, etag: tag }));
    const wrong = [{ part: 1, etag: "0".repeat(32) }, ...sent.slice(1)];
    expect((await complete(first, { bytes: content.length, parts: { uploadId, sent: wrong } })).status).toBe(409);
    expect((await complete(first, { bytes: content.length - 1, parts: { uploadId, sent } })).status).toBe(409);
    expect(await findMissing(first)).toEqual([first]);
    for (let twice = 0; twice < 2; twice++) {
      expect((await complete(first, { bytes: content.length, parts: { uploadId, sent } })).status).toBe(200);
    }
    expect(await findMissing(first)).toEqual([]);
  });

  it("that are large are begun anew where the bucket has given their upload up", async () => {
    const { uploadId } = await beginParts(first, 2 * partBytes);
    const blob = (await plane().deps.imageBlobs.getMany([first])).get(first);
    await plane().deps.objects.abortParts(blob?.key ?? "", uploadId);
    const again = await beginParts(first, 2 * partBytes);
    expect(again).toMatchObject({ arrived: [] });
    expect(again.uploadId).not.toBe(uploadId);
    const stale = { body: { uploadId, parts: [1] } };
    expect((await plane().request(`/v1/images/${first}/upload/parts`, stale)).status).toBe(409);
  });

  it("that are begun by two at the same moment have one upload", async () => {
    const [one, other] = await Promise.all([beginParts(first, 2 * partBytes), beginParts(first, 2 * partBytes)]);
    expect(one.uploadId).toBe(other.uploadId);
  });

  it("are listed by their last use, page by page", async () => {
    for (const digest of [second, third, first]) {
      await shipBlob(plane(), digest);
      plane().clock.advance(1_000);
    }
    const page = await plane().call<ImageBlobPage>("/v1/images?limit=2", { role: "viewer" });
    expect(page.blobs.map(({ digest }) => digest)).toEqual([second, third]);
    const rest = await plane().call<ImageBlobPage>(`/v1/images?limit=2&cursor=${page.cursor}`);
    expect(rest).toEqual({ blobs: [{ digest: first, bytes: 6, usedAt: expect.any(String) }] });
  });

  it("that a job names must be there", async () => {
    await shipBlob(plane(), first);
    await expect(submit(first, second)).rejects.toThrow("image_missing");
  });
});

describe("retention of images", () => {
  it("removes what was not used for 30 days, once a day and by itself", async () => {
    await shipBlob(plane(), first);
    await shipBlob(plane(), second);
    await beginParts(third, 2 * partBytes);
    await passDays(6);
    expect(await findMissing(second)).toEqual([]);
    // The upload that was never completed goes sooner.
    await passDays(3);
    expect((await plane().deps.imageBlobs.getMany([first, second, third])).size).toBe(2);
    await passDays(23);
    expect(await findMissing(first, second)).toEqual([first]);
    expect((await plane().deps.objects.list("images/")).objects).toHaveLength(1);
  });

  it("keeps what a job needs that has not ended, however long it waits, and what one can be retried with", async () => {
    await shipBlob(plane(), first);
    const jobId = await submit(first);
    await passDays(9);
    expect((await prune({ unusedDays: 7, maxBytes: 0, apply: true })).removed.blobs).toBe(0);
    const worker = plane().createWorker();
    await worker.register();
    await worker.runAll(() => failedWith(1));
    await plane().foldAll();
    await passDays(6);
    expect((await prune({ maxBytes: 0, apply: true })).removed.blobs).toBe(0);
    await plane().call(`/v1/jobs/${jobId}/retry`, { body: {} });
    await plane().foldAll();
    await passDays(6);
    await worker.runAll(() => completed());
    await plane().foldAll();
    await passDays(8);
    expect(await prune({ maxBytes: 0, apply: true })).toMatchObject({ removed: { blobs: 1, bytes: 6 }, more: false });
    const refused = await plane().request(`/v1/jobs/${jobId}/retry`, { body: { tasks: ["a"] } });
    expect(await refused.json()).toMatchObject({ status: 409, code: "image_missing" });
  });

  it("removes by size what was unused longest, changes nothing in a dry run, and frees the space", async () => {
    for (const digest of [first, second, third]) {
      await shipBlob(plane(), digest);
      plane().clock.advance(dayMs);
    }
    await passDays(8);
    const wish = { maxBytes: 12 };
    const expected = { total: { blobs: 3, bytes: 18 }, removed: { blobs: 1, bytes: 6 }, more: false };
    for (let twice = 0; twice < 2; twice++) expect(await prune(wish)).toEqual({ applied: false, ...expected });
    expect(await prune({ ...wish, apply: true })).toEqual({ applied: true, ...expected });
    expect(await findMissing(first, second, third)).toEqual([first]);
    expect((await plane().deps.objects.list("images/")).objects).toHaveLength(2);
  });

  it("leaves a blob that is used at the very moment, and one that is shipped again", async () => {
    await shipBlob(plane(), first);
    const [listed] = (await plane().deps.imageBlobs.getMany([first])).values();
    if (!listed) throw new Error("it is not there");
    plane().clock.advance(dayMs);
    expect(await findMissing(first)).toEqual([]);
    expect(await plane().deps.imageBlobs.condemn(listed)).toBe(false);
    // One that was being removed when its remover died is shipped anew, and what comes late does not meet it.
    const [current] = (await plane().deps.imageBlobs.getMany([first])).values();
    expect(current && (await plane().deps.imageBlobs.condemn(current))).toBe(true);
    expect(await findMissing(first)).toEqual([first]);
    await shipBlob(plane(), first);
    await plane().deps.objects.remove(listed.key);
    await plane().deps.imageBlobs.forget(listed);
    expect(await findMissing(first)).toEqual([]);
    const jobId = await submit(first);
    const [claim] = await plane()
      .createWorker()
      .claim([{ jobId, task: "a", bucket: 0 }]);
    const link = claim?.status === "claimed" ? claim.images[first] : undefined;
    expect(await (await fetch(link ?? "")).text()).toBe("a blob");
  });

  it("keeps what a job needs that the sweep has not come to, and removes nothing sooner than a job can be retried", async () => {
    await shipBlob(plane(), first);
    await shipBlob(plane(), second);
    await submit(first);
    plane().clock.advance(40 * dayMs);
    const tooSoon = await plane().request("/v1/images/prune", { body: { unusedDays: 6 } });
    expect(tooSoon.status).toBe(400);
    expect((await prune({ unusedDays: 7, apply: true })).removed.blobs).toBe(1);
    expect(await findMissing(first, second)).toEqual([second]);
  });

  it("is not held up by a job that the sweep can never finish, whose images it keeps", async () => {
    await shipBlob(plane(), first);
    await shipBlob(plane(), second);
    await submit(first);
    // Its pool is gone with a later deployment, so its messages can never be sent again.
    (plane().deps.pools as Map<string, unknown>).clear();
    await passDays(31);
    expect((await plane().sweep()).failed).toBeGreaterThan(0);
    expect(await findMissing(first, second)).toEqual([second]);
  });

  it("waits where it cannot be told what a job needs, for ninety days", async () => {
    await shipBlob(plane(), first);
    const jobId = await submit(first);
    const { client, name } = plane().table;
    await client.send(new PutCommand({ TableName: name, Item: { ...specKey(jobId), spec: "damaged" } }));
    plane().clock.advance(89 * dayMs);
    const refused = await plane().request("/v1/images/prune", { body: { unusedDays: 7, apply: true } });
    expect(await refused.json()).toMatchObject({ status: 503, detail: expect.stringContaining(jobId) });
    plane().clock.advance(2 * dayMs);
    expect((await prune({ unusedDays: 7, apply: true })).removed.blobs).toBe(1);
  });
});
