import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import Docker from "dockerode";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startCli } from "../support/cli-child.ts";
import { needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { type FakeApi, startFakeApi } from "../support/fake-api.ts";
import { endTasks } from "../support/fake-job.ts";
import { digestOf, makeSavedImage, type SavedImage } from "../support/saved-image.ts";

let fake: FakeApi;
let folder: string;

beforeEach(async () => {
  fake = await startFakeApi();
  folder = await mkdtemp(join(tmpdir(), "sluice-cli-images-"));
});

afterEach(async () => {
  await fake.close();
  await rm(folder, { recursive: true, force: true });
});

async function writeJob(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

describe("images of a run", () => {
  /** A docker that builds an image and saves it as an archive that a test has put together. */
  async function writeDocker(image: SavedImage, described: object = {}): Promise<NodeJS.ProcessEnv> {
    await writeFile(join(folder, "saved.tar"), image.archive);
    const script = `#!/bin/sh
echo "$@" >> ${join(folder, "calls")}
case "$1" in
  build) printf '%s' '${image.imageId}' > "$3"; echo 'Step 1/1 : FROM scratch' ;;
  image) echo '${JSON.stringify({ RootFS: { Layers: image.layers }, ...described })}' ;;
  save) cat '${join(folder, "saved.tar")}' ;;
esac
`;
    await writeFile(join(folder, "docker"), script, { mode: 0o755 });
    await writeJob("Dockerfile", "FROM scratch\n");
    return { PATH: `${folder}:${process.env.PATH}`, TMPDIR: folder };
  }

  it("are built once, shipped by content with their length and named by their id", async () => {
    const image = await makeSavedImage(["first layer", "second layer"]);
    const env = await writeDocker(image);
    fake.onSubmit = (job) => endTasks(job);
    const steps = "[{ dockerfile: ./Dockerfile }, { dockerfile: ./Dockerfile, run: x }]";
    const file = await writeJob("build.yaml", `name: built\nsteps: ${steps}\ntasks: [a]\n`);
    const cli = startCli(fake, ["run", file], { env });
    expect(await cli.end()).toBe(0);
    const calls = (await readFile(join(folder, "calls"), "utf8")).trimEnd().split("\n");
    expect(calls.map((call) => call.split(" ")[0])).toEqual(["build", "image", "save"]);
    expect([...fake.images.keys()].sort()).toEqual([image.imageId, ...image.layers].sort());
    for (const [digest, blob] of fake.images) expect(digestOf(zstdDecompressSync(blob))).toBe(digest);
    const submit = fake.requests.find(({ method, path }) => method === "POST" && path === "/v1/jobs");
    const shipped = { kind: "container", image: image.imageId, shipped: true, layers: image.layers };
    expect(JSON.parse(submit?.body ?? "").spec.steps).toMatchObject([shipped, { ...shipped, entry: { run: "x" } }]);
    expect((await readdir(folder)).filter((name) => name.startsWith("sluice-"))).toEqual([]);
  });

  it("are not sent again where they are already, nor are the layers that others have too", async () => {
    const first = await makeSavedImage(["base", "old code"]);
    for (const digest of [first.imageId, ...first.layers]) fake.images.set(digest, Buffer.from("there"));
    fake.onSubmit = (job) => endTasks(job);
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    expect(await startCli(fake, ["run", file], { env: await writeDocker(first) }).end()).toBe(0);
    expect(await readFile(join(folder, "calls"), "utf8")).not.toContain("save");
    const second = await makeSavedImage(["base", "new code"]);
    const cli = startCli(fake, ["run", file], { env: await writeDocker(second) });
    expect(await cli.end()).toBe(0);
    const sent = fake.requests.filter(({ method }) => method === "PUT").map(({ path }) => path.replace("/upload/", ""));
    expect(sent.sort()).toEqual([second.imageId, second.layers[1]].sort());
    expect(cli.stderr).toContain("1 of 2 layers were there");
  });

  it("are sent again with a fresh link when the store refuses them", async () => {
    const image = await makeSavedImage(["layer"]);
    const env = await writeDocker(image);
    fake.fail({ method: "PUT", path: /upload/, code: "forbidden" });
    fake.fail({ method: "PUT", path: /upload/, code: "unavailable" });
    fake.onSubmit = (job) => endTasks(job);
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    const cli = startCli(fake, ["run", file], { env });
    expect(await cli.end()).toBe(0);
    expect(fake.requests.filter(({ method }) => method === "PUT")).toHaveLength(4);
    expect(fake.images.size).toBe(2);
  });

  it("go on where they were when the command was killed in the middle of its upload", async () => {
    const image = await makeSavedImage([randomBytes(55_000)]);
    const env = await writeDocker(image);
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    fake.onSubmit = (job) => endTasks(job);
    fake.pieceBytes = 10_000;
    for (const part of [3, 5, 6]) fake.fail({ method: "PUT", path: new RegExp(`/${part}$`), stalls: true });
    const killed = startCli(fake, ["run", file], { env });
    const listSent = () => fake.requests.filter(({ method, path }) => method === "PUT" && /\/\d$/.test(path));
    // Also those that stall have been met: the next command meets none of them.
    await eventually(async () => fake.parts.size === 3 && listSent().length === 6, "the parts that arrive");
    killed.signal("SIGKILL");
    expect(await killed.end()).toBe("SIGKILL");
    const before = [...fake.parts.keys()];
    const cli = startCli(fake, ["run", file], { env });
    expect(await cli.end()).toBe(0);
    expect(cli.stderr).toMatch(/30 kB had arrived before/);
    const sent = listSent();
    // Three that arrived, three that never did, and these again.
    expect(sent).toHaveLength(9);
    for (const part of before) expect(sent.filter(({ path }) => path.endsWith(part))).toHaveLength(1);
    const [layer = ""] = image.layers;
    expect(digestOf(zstdDecompressSync(fake.images.get(layer) ?? Buffer.alloc(0)))).toBe(layer);
  });

  it("cost no more than a tenth above the changed layer when a line of them was changed", async (context) => {
    await needDocker(context);
    fake.onSubmit = (job) => endTasks(job);
    await writeJob("base.bin", randomBytes(300_000).toString("base64"));
    await writeJob(
      "Dockerfile",
      "FROM busybox:stable\nCOPY base.bin /\nCOPY code.txt /\nLABEL sluice.made-for=tests\n",
    );
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    const code = Array.from({ length: 2_000 }, () => randomBytes(30).toString("hex"));
    const ship = async (): Promise<number> => {
      await writeJob("code.txt", code.join("\n"));
      const before = new Set(fake.images.keys());
      expect(await startCli(fake, ["run", file], { env: { DOCKER_BUILDKIT: "0" } }).end()).toBe(0);
      const added = [...fake.images].filter(([digest]) => !before.has(digest));
      return added.reduce((sum, [, blob]) => sum + blob.length, 0);
    };
    expect(await ship()).toBeGreaterThan(300_000);
    code[1_000] = "changed";
    const layerBytes = zstdCompressSync(Buffer.from(code.join("\n"))).length;
    expect(await ship()).toBeLessThanOrEqual(1.1 * layerBytes);
    const docker = new Docker();
    const jobs = fake.requests.filter(({ method, path }) => method === "POST" && path === "/v1/jobs");
    for (const { body } of jobs) await docker.getImage(JSON.parse(body).spec.steps[0].image).remove({ force: true });
  });

  it("are built at the same time, and the first that fails ends the others and is told alone", async () => {
    // The slow build ends only by being stopped, so both were under way.
    const script = `#!/bin/sh
case "$*" in
  *slow*) echo begun > '${folder}/slow-began'; exec sleep 60 ;;
  *) until [ -e '${folder}/slow-began' ]; do sleep 0.1; done; echo 'no rule to make' >&2; exit 3 ;;
esac
`;
    await writeFile(join(folder, "docker"), script, { mode: 0o755 });
    for (const name of ["slow.Dockerfile", "bad.Dockerfile"]) await writeJob(name, "FROM scratch\n");
    const steps = "[{ dockerfile: slow.Dockerfile }, { dockerfile: bad.Dockerfile, name: compile }]";
    // By its absolute path, from another folder: what it names is found beside it.
    const file = await writeJob("build.yaml", `name: built\nsteps: ${steps}\ntasks: [a]\n`);
    const env = { PATH: `${folder}:${process.env.PATH}`, TMPDIR: folder };
    const cli = startCli(fake, ["run", file], { env, cwd: "/" });
    expect(await cli.end()).toBe(2);
    expect(cli.stderr.split("\n").slice(-3)).toEqual([
      "error: docker build of bad.Dockerfile for step compile failed with exit code 3; its last lines:",
      "  no rule to make",
      "",
    ]);
    expect((await readdir(folder)).filter((name) => name.startsWith("sluice-"))).toEqual([]);
  });

  it("are found in the archive of a Docker that keeps them in containerd, whatever it calls them", async () => {
    const image = await makeSavedImage(["first layer", "second layer"], "oci-index");
    const env = await writeDocker({ ...image, imageId: `sha256:${"e".repeat(64)}` }, { Descriptor: { size: 1 } });
    fake.onSubmit = (job) => endTasks(job);
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    for (let twice = 0; twice < 2; twice++) expect(await startCli(fake, ["run", file], { env }).end()).toBe(0);
    expect([...fake.images.keys()].sort()).toEqual([image.imageId, ...image.layers].sort());
    expect(fake.requests.filter(({ method }) => method === "PUT")).toHaveLength(3);
    const submits = fake.requests.filter(({ method, path }) => method === "POST" && path === "/v1/jobs");
    for (const { body } of submits) expect(JSON.parse(body).spec.steps).toMatchObject([{ image: image.imageId }]);
  });

  it("that do not build stop the run with the build's last lines and exit code 2", async () => {
    const env = await writeDocker(await makeSavedImage([]));
    await writeFile(
      join(folder, "docker"),
      "#!/bin/sh\necho 'Step 1/2 : RUN make'\necho 'no rule to make' >&2\nexit 1\n",
    );
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    const cli = startCli(fake, ["run", file], { env });
    expect(await cli.end()).toBe(2);
    expect(cli.stderr).toMatch(/docker build of \.\/Dockerfile for step step-1 failed with exit code 1/);
    expect(cli.stderr).toContain("no rule to make");
    expect(existsSync(join(folder, "calls"))).toBe(false);
  });
});
