import { createServer } from "node:net";
import { tmpdir } from "node:os";
import Docker from "dockerode";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createLogger } from "../../shared/log.ts";
import { ImageLoader } from "../../workers/executors/docker/images.ts";
import { findCredentials } from "../../workers/executors/registry-auth.ts";
import { Secret } from "../../workers/secret.ts";
import { needDocker } from "../support/docker.ts";
import { startRegistry, type TestRegistry } from "../support/registry.ts";

const docker = new Docker();
const loader = () => new ImageLoader(docker, tmpdir(), createLogger("test", { level: "silent" }));
const never = new AbortController().signal;
const ben = { username: "ben", password: "pa:ss-w0rd" };

async function openRegistry(credentials?: typeof ben): Promise<TestRegistry & { reference: string }> {
  const registry = await startRegistry(credentials);
  onTestFinished(async () => {
    await registry.close();
    await docker
      .getImage(registry.imageId)
      .remove({ force: true })
      .catch((error: { statusCode?: number }) => expect(error.statusCode).toBe(404));
  });
  return { ...registry, reference: `${registry.host}/team/tool:1` };
}

const configFor = (host: string, { username, password }: typeof ben) =>
  new Secret(
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(`${username}:${password}`).toString("base64") } } }),
  );

describe("pulling an image from a registry", () => {
  beforeEach(async (context) => {
    await needDocker(context);
  });

  it("is done once for all who need it at the same time, with the credentials of the secret", async () => {
    const registry = await openRegistry(ben);
    const images = loader();
    const credentials = findCredentials(configFor(registry.host, ben), registry.reference);
    await Promise.all([1, 2, 3].map(() => images.pull(registry.reference, credentials, never)));
    expect((await docker.getImage(registry.reference).inspect()).Id).toBe(registry.imageId);
    expect(registry.requests.filter((path) => path.includes("/blobs/"))).toHaveLength(2);
  });

  it("is refused at once without credentials, and with wrong ones: the user's to mend", async () => {
    const registry = await openRegistry(ben);
    await expect(loader().pull(registry.reference, undefined, never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "user",
        detail: expect.stringMatching(/without credentials.*registry_auth/),
      },
    });
    const wrong = findCredentials(configFor(registry.host, { ...ben, password: "wrong-pass" }), registry.reference);
    await expect(loader().pull(registry.reference, wrong, never)).rejects.toMatchObject({
      reason: { fault: "user", detail: expect.stringMatching(/credentials of registry_auth/) },
    });
    expect(registry.requests).toEqual([]);
  });

  it("says at once that there is no such image", async () => {
    const registry = await openRegistry();
    const reference = `${registry.host}/team/tool:2`;
    await expect(loader().pull(reference, undefined, never)).rejects.toMatchObject({
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
    await loader().pull(registry.reference, undefined, never);
    expect((await docker.getImage(registry.reference).inspect()).Id).toBe(registry.imageId);
  });

  it("says that a registry cannot be reached: nobody's fault but the network's", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await new Promise((resolve) => server.close(resolve));
    await expect(loader().pull(`127.0.0.1:${port}/team/tool:1`, undefined, never)).rejects.toMatchObject({
      reason: {
        code: "image_unavailable",
        fault: "infrastructure",
        detail: expect.stringContaining("could not be reached"),
      },
    });
  });
});
