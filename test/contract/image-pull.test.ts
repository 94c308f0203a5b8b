import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createEcrClient } from "../../shared/clients/ecr.ts";
import type { ImageLoader } from "../../workers/executors/docker/images.ts";
import { EcrLogin } from "../../workers/executors/ecr-login.ts";
import { findCredentials } from "../../workers/executors/registry-auth.ts";
import { Secret } from "../../workers/secret.ts";
import { needDocker } from "../support/docker.ts";
import { ecrCredentials, startEcr } from "../support/ecr.ts";
import { openImageLoader } from "../support/image-loader.ts";
import { startRegistry, type TestRegistry } from "../support/registry.ts";

const docker = new Docker();
let folder: string;
let images: ImageLoader;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-pull-"));
});
afterAll(() => rm(folder, { recursive: true }));
const never = new AbortController().signal;
const ben = { username: "ben", password: "pa:ss-w0rd" };

async function openRegistry(credentials?: typeof ben): Promise<TestRegistry & { reference: string }> {
  const registry = await startRegistry(credentials);
  const reference = `${registry.host}/team/tool:1`;
  onTestFinished(async () => {
    await registry.close();
    await docker
      .getImage(reference)
      .remove({ force: true })
      .catch((error: { statusCode?: number }) => expect(error.statusCode).toBe(404));
  });
  return { ...registry, reference };
}

const configFor = (host: string, { username, password }: typeof ben) =>
  new Secret(
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(`${username}:${password}`).toString("base64") } } }),
  );

describe("pulling an image from a registry", () => {
  beforeEach(async (context) => {
    if (!(await needDocker(context))) return;
    const opened = await openImageLoader(docker, folder);
    images = opened.images;
    onTestFinished(() => opened.pruner.close());
  });

  it("is done once for all who need it at the same time, with the credentials of the secret", async () => {
    const registry = await openRegistry(ben);
    const credentials = findCredentials(configFor(registry.host, ben), registry.reference);
    await Promise.all([1, 2, 3].map(() => images.pull(registry.reference, credentials, never)));
    expect((await docker.getImage(registry.reference).inspect()).RootFS.Layers).toEqual(registry.layers);
    expect(registry.requests.filter((path) => path.includes("/blobs/"))).toHaveLength(2);
  });

  it("is refused at once without credentials, and with wrong ones: the user's to mend", async () => {
    const registry = await openRegistry(ben);
    await expect(images.pull(registry.reference, undefined, never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "user",
        detail: expect.stringMatching(/without credentials.*registry_auth/),
      },
    });
    const wrong = findCredentials(configFor(registry.host, { ...ben, password: "wrong-pass" }), registry.reference);
    await expect(images.pull(registry.reference, wrong, never)).rejects.toMatchObject({
      reason: { fault: "user", detail: expect.stringMatching(/credentials of registry_auth/) },
    });
    expect(registry.requests).toEqual([]);
  });

  it("says at once that there is no such image", async () => {
    const registry = await openRegistry();
    const reference = `${registry.host}/team/tool:2`;
    await expect(images.pull(reference, undefined, never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "user",
        detail: expect.stringContaining(`there is no image ${reference}`),
      },
    });
    expect(new Set(registry.requests)).toEqual(new Set(["/v2/team/tool/manifests/2"]));
  });

  it("goes on where a registry was out of order for a moment", async () => {
    const registry = await openRegistry();
    registry.fail(503, 2);
    await images.pull(registry.reference, undefined, never);
    expect((await docker.getImage(registry.reference).inspect()).RootFS.Layers).toEqual(registry.layers);
  });

  it("says that a registry cannot be reached: nobody's fault but the network's", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await new Promise((resolve) => server.close(resolve));
    await expect(images.pull(`127.0.0.1:${port}/team/tool:1`, undefined, never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "infrastructure",
        detail: expect.stringContaining("could not be reached"),
      },
    });
  });
});

describe("pulling an image from a registry of AWS", () => {
  const region = "eu-west-1";

  /** A registry that takes tokens of a stand-in of ECR, and what signs in there as the worker. */
  async function openEcrRegistry() {
    const ecr = await startEcr(region);
    const credentials = { username: "AWS", password: "token" };
    const registry = await openRegistry(credentials);
    const client = createEcrClient({ credentials: ecrCredentials, endpoint: ecr.url });
    const login = new EcrLogin({
      client,
      findRegistry: (host) => (host === registry.host ? { region, domain: "amazonaws.com" } : undefined),
    });
    const { images, pruner } = await openImageLoader(docker, folder, { ecr: login });
    onTestFinished(() => pruner.close());
    return { ecr, credentials, registry, images };
  }

  beforeEach(async (context) => {
    await needDocker(context);
  });

  it("signs in as the worker, once for many pulls, and again when the token ended before its time", async () => {
    const { ecr, credentials, registry, images } = await openEcrRegistry();
    ecr.fail(500, "ServerException", 1);
    await images.pull(registry.reference, undefined, never);
    await docker.getImage(registry.reference).remove();
    await images.pull(registry.reference, undefined, never);
    expect(ecr.requests).toBe(2);
    credentials.password = "second";
    ecr.tokens = ["second"];
    await docker.getImage(registry.reference).remove();
    await images.pull(registry.reference, undefined, never);
    expect(ecr.requests).toBe(3);
    expect(await images.isThere({ image: registry.reference, shipped: false })).toBe(true);
  });

  it("lets what a job says go first, and says whose rights are missing", async () => {
    const { ecr, credentials, registry, images } = await openEcrRegistry();
    const own = findCredentials(configFor(registry.host, { ...credentials }), registry.reference);
    await images.pull(registry.reference, own, never);
    expect(ecr.requests).toBe(0);
    credentials.password = "other";
    await expect(images.pull(registry.reference, undefined, never)).rejects.toMatchObject({
      reason: { code: "image_unavailable", fault: "user", detail: expect.stringContaining("to the worker's role") },
    });
    expect(ecr.requests).toBe(2);
    ecr.fail(400, "AccessDeniedException", 1);
    await expect(images.pull(registry.reference, undefined, never)).rejects.toMatchObject({
      reason: { fault: "user", detail: expect.stringMatching(/worker's role.*AccessDeniedException.*not authorized/) },
    });
    expect(ecr.requests).toBe(3);
  });
});
