import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import Docker from "dockerode";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { inspectDaemon, shippedTag } from "../../workers/executors/docker/image-store.ts";
import { type BlobAnswer, serveBlobs } from "../support/blob-server.ts";
import { startContainerdDocker } from "../support/containerd-docker.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { openImageLoader, roomy } from "../support/image-loader.ts";
import { type MadeImage, makeImage } from "../support/made-image.ts";
import { digestOf } from "../support/saved-image.ts";

const docker = new Docker();
const never = new AbortController().signal;
const hour = 3_600_000;

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-load-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An image of two layers that goes with the test. */
async function prepareImage(options: { base?: readonly Buffer[]; bytes?: number } = {}): Promise<MadeImage> {
  const base = options.base ?? (await makeImage()).layers;
  const image = await makeImage({ ...options, base });
  onTestFinished(() => removeImage(shippedTag(image.imageId)));
  return image;
}

async function removeImage(name: string): Promise<void> {
  await docker
    .getImage(name)
    .remove({ force: true })
    .catch((error: { statusCode?: number }) => expect(error.statusCode).toBe(404));
}

async function isThere(name: string): Promise<boolean> {
  return docker
    .getImage(name)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

const listBlobs = (folder: string) => readdir(join(folder, "blobs"));
/** What is under way lies beside the folders of the cache. */
const listScratch = async (folder: string) => (await readdir(folder)).filter((name) => name.startsWith("blob-"));

const truncated: BlobAnswer = (response, blob) => response.end(blob.subarray(0, blob.length / 2));
const cut: BlobAnswer = (response, blob) => {
  response.writeHead(200, { "content-length": blob.length });
  response.write(blob.subarray(0, blob.length / 2), () => response.destroy());
};
const poisoned: BlobAnswer = (response) => response.end(zstdCompressSync(Buffer.from("something else")));
const webPage: BlobAnswer = (response) => response.end("<html>502</html>");
const outOfOrder: BlobAnswer = (response) => response.writeHead(503).end();

describe("loading a shipped image", () => {
  beforeEach(async (context) => {
    await needDocker(context);
  });

  it("fetches each blob once for all tasks and both workers of a machine, and again none that is there", async () => {
    const folder = await makeFolder();
    const image = await prepareImage();
    const bucket = await serveBlobs(image);
    const [one, two] = [await openImageLoader(docker, folder), await openImageLoader(docker, folder)];
    await Promise.all([1, 2, 3].map(() => one.images.load(image.imageId, bucket.links(image), never)));
    expect(bucket.requests.toSorted()).toEqual([image.imageId, ...image.layers.map(digestOf)].toSorted());
    expect(await isThere(shippedTag(image.imageId))).toBe(true);
    // Behind the workers' back.
    await removeImage(shippedTag(image.imageId));
    expect(await one.images.isThere({ image: image.imageId, shipped: true })).toBe(false);
    await Promise.all([one, two].map(({ images }) => images.load(image.imageId, {}, never)));
    expect(await isThere(shippedTag(image.imageId))).toBe(true);
    expect(bucket.requests).toHaveLength(3);
    expect(await listScratch(folder)).toEqual([]);
  });

  it("fetches no layer that stands at the bottom of another image", async () => {
    const folder = await makeFolder();
    const base = await prepareImage();
    const image = await prepareImage({ base: base.layers });
    const bucket = await serveBlobs(base, image);
    const { images } = await openImageLoader(docker, folder);
    await images.load(base.imageId, bucket.links(base), never);
    await rm(join(folder, "blobs"), { recursive: true });
    bucket.requests.length = 0;
    await images.load(image.imageId, bucket.links(image), never);
    // A store that is sent all layers gets those that it has from the bucket, too.
    const { store } = await inspectDaemon(docker);
    const wanted = store === "classic" ? image.layers.slice(-1) : image.layers;
    expect(bucket.requests.toSorted()).toEqual([image.imageId, ...wanted.map(digestOf)].toSorted());
  });

  it("asks again for what came truncated, cut off, poisoned, as a web page or not at all", async () => {
    const folder = await makeFolder();
    const image = await prepareImage();
    const bucket = await serveBlobs(image);
    const [low = "", high = ""] = image.layers.map(digestOf);
    bucket.answers.set(image.imageId, [truncated, outOfOrder]).set(low, [poisoned, cut]).set(high, [webPage, cut]);
    const { images } = await openImageLoader(docker, folder);
    await images.load(image.imageId, bucket.links(image), never);
    expect(bucket.requests).toHaveLength(9);
    // What was cut off goes on where it was.
    expect(bucket.starts.some((start) => start > 0)).toBe(true);
    expect(await listScratch(folder)).toEqual([]);
  });

  it.each([
    ["damaged", poisoned, /its part sha256:\w{12} is damaged: its digest is sha256:/],
    ["truncated", truncated, /its part sha256:\w{12} is damaged: unexpected end of file/],
    ["removed", ((response) => response.writeHead(404).end()) as BlobAnswer, /not in the bucket any more/],
  ])("names a part that stays %s, and keeps nothing of it", async (_, answer, words) => {
    const folder = await makeFolder();
    const image = await prepareImage();
    const bucket = await serveBlobs(image);
    bucket.answers.set(digestOf(image.layers[1] ?? Buffer.alloc(0)), Array(9).fill(answer));
    const { images } = await openImageLoader(docker, folder);
    await expect(images.load(image.imageId, bucket.links(image), never)).rejects.toMatchObject({
      reason: { code: "image_unavailable", fault: "infrastructure", detail: expect.stringMatching(words) },
    });
    expect(await isThere(shippedTag(image.imageId))).toBe(false);
    expect((await listBlobs(folder)).join()).not.toContain(digestOf(image.layers[1] ?? Buffer.alloc(0)).slice(7));
    await eventually(async () => (await listScratch(folder)).length === 0, "nothing is under way");
  });

  it("finds files of its cache that were changed or cut, and fetches them again", async () => {
    const folder = await makeFolder();
    const image = await prepareImage();
    const bucket = await serveBlobs(image);
    const { images } = await openImageLoader(docker, folder);
    await images.load(image.imageId, bucket.links(image), never);
    await removeImage(shippedTag(image.imageId));
    const [config = "", low = "", high = ""] = [image.imageId, ...image.layers.map(digestOf)];
    const fileOf = async (digest: string) => {
      const name = (await listBlobs(folder)).find((entry) => entry.startsWith(digest.slice(7)));
      return join(folder, "blobs", name ?? "");
    };
    await truncate(await fileOf(config), 10);
    await writeFile(await fileOf(low), zstdCompressSync(Buffer.from("something else")));
    await writeFile(await fileOf(high), "no zstd at all");
    bucket.requests.length = 0;
    await images.load(image.imageId, bucket.links(image), never);
    expect(bucket.requests.toSorted()).toEqual([config, low, high].toSorted());
    expect(await isThere(shippedTag(image.imageId))).toBe(true);
  });

  it("says that the disk is full and leaves nothing on it, once nothing more can be removed", async (context) => {
    const folder = await makeFolder();
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=300k", "tmpfs", folder]).status !== 0) {
      process.stderr.write("SKIPPED: no small file system can be mounted here\n");
      return context.skip();
    }
    onTestFinished(() => void spawnSync("umount", [folder]));
    const [small, fitting, large] = [
      await prepareImage({ base: [], bytes: 150_000 }),
      await prepareImage({ base: [], bytes: 200_000 }),
      await prepareImage({ base: [], bytes: 400_000 }),
    ];
    const bucket = await serveBlobs(small, fitting, large);
    const { images } = await openImageLoader(docker, folder);
    await images.load(small.imageId, bucket.links(small), never);
    await images.load(fitting.imageId, bucket.links(fitting), never);
    expect(await isThere(shippedTag(small.imageId))).toBe(false);
    await expect(images.load(large.imageId, bucket.links(large), never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "infrastructure",
        detail: expect.stringMatching(/^the worker's disk is full: image sha256:\w{12} does not fit/),
      },
    });
    expect(await isThere(shippedTag(large.imageId))).toBe(false);
    await eventually(async () => (await listScratch(folder)).length === 0, "nothing is under way");
  });

  it("removes what nobody has used for longest beyond the limits, but never what a task or a container needs", async () => {
    const folder = await makeFolder();
    const made = await Promise.all([1, 2, 3, 4].map(() => prepareImage({ base: [] })));
    const bucket = await serveBlobs(...made);
    const { images, pruner, ledger } = await openImageLoader(docker, folder);
    for (const image of made) await images.load(image.imageId, bucket.links(image), never);
    const [held, used, named, idle] = made.map(({ imageId }) => imageId) as [string, string, string, string];
    const release = images.hold({ image: held, shipped: true });
    const container = await docker.createContainer({ Image: shippedTag(used) });
    onTestFinished(() => container.remove().catch(() => undefined));
    const ownName = { repo: "sluice-test-named", tag: held.slice(7, 19) };
    await docker.getImage(shippedTag(named)).tag(ownName);
    onTestFinished(() => removeImage(`${ownName.repo}:${ownName.tag}`));
    expect(await pruner.prune({ ...roomy, minIdleMs: hour, maxBytes: 0 })).toBe(0);
    expect(await pruner.prune({ ...roomy, maxAgeMs: hour })).toBe(0);
    await pruner.prune({ ...roomy, maxBytes: 0 });
    const left = await Promise.all([held, used, named, idle].map((image) => isThere(shippedTag(image))));
    expect(left).toEqual([true, true, false, false]);
    // Whoever gave it a name of his own keeps it.
    expect(await isThere(`${ownName.repo}:${ownName.tag}`)).toBe(true);
    expect(await listBlobs(folder)).toEqual([]);
    await container.remove();
    release();
    await pruner.prune({ ...roomy, maxAgeMs: -1 });
    expect(await Promise.all([held, used].map((image) => isThere(shippedTag(image))))).toEqual([false, false]);
    expect(await ledger.list()).toEqual([]);
  });
});

describe("loading a shipped image into a containerd store", () => {
  it("sends all of it as an OCI layout and calls it by its tag: its digest is the manifest's there", async () => {
    const folder = await makeFolder();
    const fake = await startContainerdDocker(folder);
    const image = await makeImage({ base: (await makeImage()).layers });
    const bucket = await serveBlobs(image);
    const client = new Docker({ socketPath: fake.socketPath });
    const { images, pruner } = await openImageLoader(client, folder);
    const name = { image: image.imageId, shipped: true };
    expect(await images.isThere(name)).toBe(false);
    await images.load(image.imageId, bucket.links(image), never);
    expect(images.nameOf(name)).toBe(shippedTag(image.imageId));
    expect(await images.isThere(name)).toBe(true);
    expect(fake.tags.get(shippedTag(image.imageId))?.layers).toEqual(image.layers.map(digestOf));
    await pruner.prune({ ...roomy, maxBytes: 0 });
    expect(await images.isThere(name)).toBe(false);
  });
});
