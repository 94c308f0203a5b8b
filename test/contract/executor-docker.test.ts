import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, symlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import Docker from "dockerode";
import { pack } from "tar-stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { splitSavedImage } from "../../cli/jobs/saved-image.ts";
import { newWorkerId } from "../../shared/domain/ids.ts";
import type { ContainerStepSpec } from "../../shared/jobfile/job-spec.ts";
import { createLogger } from "../../shared/log.ts";
import { defaultDockerSocket } from "../../workers/docker-address.ts";
import { DockerExecutor } from "../../workers/executors/docker/docker-executor.ts";
import { endExec } from "../../workers/executors/docker/end-exec.ts";
import { inspectDaemon, shippedTag } from "../../workers/executors/docker/image-store.ts";
import { createPauseProgram } from "../../workers/executors/docker/pause-image.ts";
import type { StepExit, TaskContext, TaskSandbox } from "../../workers/executors/executor.ts";
import { type Owner, readOwner } from "../../workers/owner.ts";
import { createWorkspace, removeTree } from "../../workers/workspace.ts";
import { serveBlobs } from "../support/blob-server.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { imageSettings } from "../support/image-loader.ts";
import { makeImage as makeImageOf, ownArchitecture } from "../support/made-image.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });
const never = new AbortController().signal;
const docker = new Docker();
let imagesFolder: string;

beforeAll(async () => {
  imagesFolder = await mkdtemp(join(tmpdir(), "sluice-images-"));
});
afterAll(() => rm(imagesFolder, { recursive: true }));

function step(run: string, more: Partial<ContainerStepSpec> = {}): ContainerStepSpec {
  return {
    kind: "container",
    name: "step 1",
    image: "busybox:stable",
    shipped: false,
    entry: { run },
    env: {},
    ...more,
  };
}

async function openExecutor(workerId: string, more: { slots?: number; socket?: string; owner?: Owner } = {}) {
  return new DockerExecutor({
    images: imageSettings(imagesFolder),
    isolation: { metadata: "blocked", addedCapabilities: [] },
    address: { kind: "socket", path: more.socket ?? defaultDockerSocket },
    slots: more.slots ?? 1,
    workerId,
    owner: more.owner ?? (await readOwner()),
    log,
  });
}

describe("the docker executor with a real daemon", () => {
  const workerId = newWorkerId(Date.now());
  let executor: DockerExecutor;
  let folder: string;
  let tasks = 0;

  beforeEach(async (context) => {
    await needDocker(context);
  });
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-docker-"));
    executor = await openExecutor(workerId);
  });
  afterAll(async () => {
    await executor.close();
    await rm(folder, { recursive: true, force: true });
    expect(await listLeftovers(`sluice.worker=${workerId}`)).toEqual([]);
  });

  async function inTask<T>(
    work: (sandbox: TaskSandbox, task: TaskContext) => Promise<T>,
    { executor: other, ...overrides }: Partial<TaskContext> & { executor?: DockerExecutor } = {},
  ): Promise<T> {
    const task: TaskContext = {
      attemptId: `job-${workerId}.0.task.${++tasks}`,
      jobId: "job-1",
      task: "unit",
      attempt: 1,
      slots: 1,
      env: {},
      secrets: new Map(),
      workspace: await createWorkspace(folder, `t${tasks}`),
      shippedImages: [],
      images: {},
      ...overrides,
    };
    const sandbox = (other ?? executor).openTask(task);
    try {
      return await work(sandbox, task);
    } finally {
      await sandbox.close();
      await removeTree(task.workspace.root);
    }
  }

  async function run(sandbox: TaskSandbox, spec: ContainerStepSpec): Promise<StepExit & { text: string }> {
    let text = "";
    const prepared = await sandbox.prepareStep({ index: 1, name: "step 1", spec }, never);
    const running = await prepared.start({
      write: (_stream, bytes) => {
        text += bytes.toString();
        return undefined;
      },
    });
    return { ...(await running.ended), text };
  }

  /** An image made from the busybox one with other settings; removed after the test. */
  async function makeImage(
    changes: string[],
    file?: { path: string; text: string },
  ): Promise<{ id: string; name: string }> {
    const name = `sluice-test-${randomUUID()}`;
    const container = await docker.createContainer({ Image: "busybox:stable", Cmd: ["true"], Labels: { [name]: "" } });
    if (file !== undefined) {
      const archive = pack();
      archive.entry({ name: file.path }, file.text);
      archive.finalize();
      await container.putArchive(archive as unknown as NodeJS.ReadableStream, { path: "/" });
    }
    const { Id: id } = (await container.commit({ repo: name, changes: changes.join("\n") })) as { Id: string };
    await container.remove();
    onTestFinished(async () => {
      await docker
        .getImage(id)
        .remove({ force: true })
        .catch((error: { statusCode?: number }) => expect(error.statusCode).toBe(404));
    });
    return { id, name };
  }

  it("runs the image's own command where a step names none", async () => {
    const image = await makeImage(['ENTRYPOINT ["echo","entry"]', 'CMD ["own"]']);
    await inTask(async (sandbox) => {
      expect(await run(sandbox, step("", { image: image.name, entry: null }))).toMatchObject({ text: "entry own\n" });
    });
  });

  it("tells the user what Docker refuses to run, wherever it is tried", () =>
    inTask(async (sandbox) => {
      await expect(run(sandbox, step("true", { workdir: "/etc/passwd" }))).rejects.toMatchObject({
        reason: { code: "exit_code", fault: "user", detail: expect.stringContaining("not a directory") },
      });
    }));

  it("lets any user of the image write to the workspace, and removes what root wrote", async () => {
    const image = await makeImage(["USER 12345:12345"]);
    const root = await inTask(async (sandbox, task) => {
      const script = "id -u; echo mine > $SLUICE_OUTPUT/mine; mkdir $SLUICE_SHARED/d; echo x > /alfred/output/x";
      expect(await run(sandbox, step(script, { image: image.name }))).toMatchObject({ exitCode: 0, text: "12345\n" });
      await run(
        sandbox,
        step("echo root > $SLUICE_OUTPUT/mine; mkdir -m 700 $SLUICE_OUTPUT/r; echo y > $SLUICE_OUTPUT/r/y"),
      );
      expect(await readFile(join(task.workspace.output, "mine"), "utf8")).toBe("root\n");
      return task.workspace.root;
    });
    await expect(stat(root)).rejects.toThrow("ENOENT");
  });

  it("hands the output to the worker's user, whoever wrote it, with its modes", () =>
    inTask(async (sandbox, task) => {
      await run(sandbox, step("umask 077; mkdir $SLUICE_OUTPUT/deep; echo y > $SLUICE_OUTPUT/deep/file"));
      await sandbox.takeOutput?.({ uid: 12_345, gid: 12_345 });
      const { uid, mode } = await stat(join(task.workspace.output, "deep", "file"));
      expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 12_345, mode: 0o600 });
    }));

  it("clears a workspace by a container where its own user may not", () =>
    inTask(async (sandbox, task) => {
      await run(sandbox, step("mkdir -m 700 $SLUICE_OUTPUT/deep; echo y > $SLUICE_OUTPUT/deep/file"));
      await sandbox.close();
      await sandbox.clearWorkspace();
      await expect(stat(task.workspace.path)).rejects.toThrow("ENOENT");
    }));

  it("removes a dead worker's folder with what root wrote there, by no image of a job, and no other folder", async () => {
    const [dead, living] = [join(folder, "w-dead"), join(folder, "w-living")];
    await Promise.all([dead, living].map((path) => mkdir(join(path, "deep", "er"), { recursive: true, mode: 0o700 })));
    expect(await executor.removeFolder(dead)).toBeUndefined();
    await expect(stat(dead)).rejects.toThrow("ENOENT");
    await stat(living);
    expect(await executor.removeFolder(join(folder, "none", "such"))).toContain("none");
  });

  it("holds every container to what the job gives a slot, times the slots, and reaps what dies in it", () =>
    inTask(
      async (sandbox) => {
        const script = `cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d ' ' -f 1 /sys/fs/cgroup/cpu.max
          (sleep 0.1 &); n=0
          while ps -o comm | grep -q sleep && [ $((n+=1)) -lt 100 ]; do sleep 0.1; done
          echo "zombies: $(ps -o stat | grep -c Z)"
          for i in $(seq 60); do sleep 600 & done; echo never`;
        const limited = await run(sandbox, step(script));
        // What comes by stdout and what by stderr at about the same time has no order.
        expect(limited.text).toMatch(/^60000\n/);
        expect(limited.text).toContain("zombies: 0\n");
        expect(limited.text).toContain("can't fork");
        expect(limited.text).not.toContain("never");
        // The kernel kills the child; what its parent makes of that says nothing about why.
        expect(await run(sandbox, step("tail /dev/zero; exit 3"))).toMatchObject({ exitCode: 3, outOfMemory: true });
        expect(await run(sandbox, step("tail /dev/zero; exit 0"))).toMatchObject({ exitCode: 0, outOfMemory: true });
        expect(await run(sandbox, step("exec tail /dev/zero"))).toMatchObject({ exitCode: 137, outOfMemory: true });
        expect(await run(sandbox, step("kill -9 $$"))).toMatchObject({ exitCode: 137, outOfMemory: false });
      },
      { resources: { cpus: 0.3, memoryBytes: 8 * 1024 ** 2, pids: 16 }, slots: 2 },
    ));

  it("gives each task a network of its own, and one task after the other clean name files", async () => {
    const address = await inTask(async (sandbox) => {
      const listening = sandbox.prepareStep(
        { index: 1, name: "a", spec: step("nc -l -p 7777 & hostname -i; wait") },
        never,
      );
      let text = "";
      const running = await (await listening).start({
        write: (_stream, bytes) => {
          text += bytes.toString();
          return undefined;
        },
      });
      const ip = await eventually(() => /^[\d.]+/.exec(text)?.[0], "the address");
      await inTask(async (other) => {
        const probe = `nc -w 1 ${ip} 7777 </dev/null 2>/dev/null && echo reached || echo isolated`;
        expect((await run(other, step(probe))).text).toBe("isolated\n");
      });
      running.kill();
      await run(sandbox, step("echo 6.6.6.6 evil >> /etc/hosts; echo nameserver 6.6.6.6 > /etc/resolv.conf"));
      return ip;
    });
    // The namespace is lent again: the address is the same, the files are not.
    const seen = await inTask((sandbox) => run(sandbox, step("hostname -i; cat /etc/hosts /etc/resolv.conf")));
    expect(seen.text).toMatch(/^[\d.]+\n/);
    expect(seen.text).not.toContain("6.6.6.6");
    expect(address).toMatch(/^\d/);
  });

  it("ends a command inside a service that is not waited for any more, with what it started", () =>
    inTask(async (sandbox) => {
      const spec = { image: "busybox:stable", command: ["sleep", "600"], env: {}, tmpfs: [] };
      const prepared = await sandbox.prepareService?.({ name: "side", spec }, never);
      const service = await prepared?.start({ write: () => undefined });
      const filters = { label: [`sluice.worker=${workerId}`, "sluice.role=service"] };
      const [{ Id: containerId } = { Id: "" }] = await docker.listContainers({ filters });
      const listCommands = async () => {
        const { Processes } = await docker.getContainer(containerId).top({ ps_args: "-o pid,args" });
        return (Processes as string[][]).map(([, args]) => args).filter((args) => args?.includes("700"));
      };
      const hang = ["sh", "-c", "sleep 700 & sleep 700"];
      const stop = new AbortController();
      const hanging = service?.runInside(hang, stop.signal);
      await eventually(async () => (await listCommands()).length > 1, "the command runs");
      stop.abort(new Error("too late"));
      await expect(hanging).rejects.toThrow("too late");
      await eventually(async () => (await listCommands()).length === 0, "the end of the command");
      // A worker that may not end it from outside does so from inside.
      const exec = await docker.getContainer(containerId).exec({ Cmd: hang });
      await exec.start({ Detach: true });
      await eventually(async () => (await listCommands()).length > 1, "the command runs");
      const killGroup = () => {
        throw Object.assign(new Error("not permitted"), { code: "EPERM" });
      };
      expect(await endExec({ docker, containerId, exec, killGroup })).toBeUndefined();
      await eventually(async () => (await listCommands()).length === 0, "the end of the command");
      expect(await service?.isRunning()).toBe(true);
    }));

  it("goes on where the waiting container of its namespace was taken away", () =>
    inTask(async (sandbox) => {
      const spec = step("echo fine");
      expect((await run(sandbox, spec)).text).toBe("fine\n");
      const prepared = await sandbox.prepareStep({ index: 2, name: "two", spec }, never);
      const filters = { label: [`sluice.worker=${workerId}`, "sluice.role=pause"] };
      for (const pause of await docker.listContainers({ filters })) {
        await docker.getContainer(pause.Id).remove({ force: true });
      }
      let text = "";
      const running = await prepared.start({
        write: (_stream, bytes) => {
          text += bytes.toString();
          return undefined;
        },
      });
      expect(await running.ended).toMatchObject({ exitCode: 0 });
      expect(text).toBe("fine\n");
    }));

  it("explains an image that cannot be pulled with the registry's words, and stops a pull that is cancelled", () =>
    inTask(async (sandbox) => {
      const refusing = createServer((_request, answer) => {
        answer.statusCode = 404;
        answer.setHeader("content-type", "application/json");
        answer.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
      });
      const port = await listen(refusing);
      const spec = step("true", { image: `127.0.0.1:${port}/nothing:here` });
      await expect(sandbox.prepareStep({ index: 1, name: "a", spec }, never)).rejects.toMatchObject({
        reason: { code: "image_unavailable", detail: expect.stringMatching(/nothing:here.*(not found|unknown)/) },
      });
      const silent = createServer(() => undefined);
      const slow = step("true", { image: `127.0.0.1:${await listen(silent)}/slow:1` });
      const cancel = new AbortController();
      const waiting = sandbox.prepareStep({ index: 1, name: "a", spec: slow }, cancel.signal);
      waiting.catch(() => undefined);
      await eventually(async () => sandbox.waitsFor === `the image ${slow.image}`, "the pull");
      cancel.abort(new Error("cancelled"));
      await expect(waiting).rejects.toThrow("cancelled");
      expect(sandbox.waitsFor).toBeUndefined();
    }));

  it("loads a shipped image once for all tasks that need it, from what it lacks", async () => {
    const made = await makeImage(["ENV SHIPPED=yes"], { path: "shipped.txt", text: randomUUID() });
    const { imageId, blobs } = await saveBlobs(made.name);
    const { RootFS } = await docker.getImage(made.name).inspect();
    const upper = RootFS.Layers?.at(-1) ?? "";
    await docker.getImage(made.name).remove({ force: true });
    const downloads: string[] = [];
    const bucket = createServer((request, answer) => {
      const digest = (request.url ?? "").slice(1);
      downloads.push(digest);
      const blob = blobs.get(digest);
      return blob === undefined ? answer.writeHead(403).end() : answer.end(blob);
    });
    const url = `http://127.0.0.1:${await listen(bucket)}`;
    const images = Object.fromEntries([imageId, ...(RootFS.Layers ?? [])].map((part) => [part, `${url}/${part}`]));
    const spec = step("cat /shipped.txt > /dev/null && echo $SHIPPED", { image: imageId, shipped: true });
    const texts = await Promise.all(
      [1, 2].map(() => inTask(async (sandbox) => (await run(sandbox, spec)).text, { images })),
    );
    expect(texts).toEqual(["yes\n", "yes\n"]);
    // The layers below are those of busybox, which the daemon has.
    const { store } = await inspectDaemon(docker);
    const wanted = store === "classic" ? [imageId, upper] : [imageId, ...(RootFS.Layers ?? [])];
    expect(downloads.toSorted()).toEqual(wanted.toSorted());
    onTestFinished(() => docker.getImage(shippedTag(imageId)).remove({ force: true }));
    await docker.getImage(shippedTag(imageId)).remove({ force: true });
    // A step to come needs it: the links to its parts may have ended by then.
    await inTask(
      async (sandbox) => {
        await run(sandbox, step("true"));
        await eventually(() => docker.getImage(shippedTag(imageId)).inspect(), "the image of a later step is there");
      },
      { images: {}, shippedImages: [imageId] },
    );
  });

  it("says so where an image is made for machines of another kind, whoever brought it", async () => {
    const architecture = ownArchitecture === "arm64" ? "amd64" : "arm64";
    const foreign = await makeImageOf({ architecture, program: createPauseProgram(architecture) });
    onTestFinished(() => docker.getImage(shippedTag(foreign.imageId)).remove({ force: true }));
    const images = (await serveBlobs(foreign)).links(foreign);
    const spec = step("", { image: foreign.imageId, shipped: true, entry: null });
    await inTask(
      (sandbox) =>
        expect(run(sandbox, spec)).rejects.toMatchObject({
          reason: {
            code: "image_unavailable",
            fault: "user",
            detail: expect.stringMatching(
              `^image sha256:\\w{12} is made for linux/${architecture}, and this worker runs linux/${ownArchitecture} \\(exec /true failed: `,
            ),
          },
        }),
      { images },
    );
  });

  it("says what to do where Docker is not reachable, and uses it once it is", async () => {
    const socket = join(folder, "docker.sock");
    const lonely = await openExecutor(newWorkerId(Date.now()), { socket });
    onTestFinished(async () => void (await lonely.close()));
    expect(await lonely.warmUp()).toContain("Docker is not reachable on this worker");
    const attempt = () => inTask((sandbox) => run(sandbox, step("echo up")), { executor: lonely });
    await expect(attempt()).rejects.toMatchObject({
      reason: { code: "internal", fault: "infrastructure", detail: expect.stringContaining("start Docker") },
    });
    await symlink(defaultDockerSocket, socket);
    expect((await attempt()).text).toBe("up\n");
  });

  it("removes what dead workers left, and leaves living ones alone", async () => {
    // It dies only just before the look: any other worker on this machine may look as well.
    const owner = spawn("sleep", ["1000"]);
    onTestFinished(() => void owner.kill("SIGKILL"));
    const dead = await openExecutor(newWorkerId(Date.now()), { owner: await readOwner(owner.pid) });
    await inTask(
      async (sandbox, task) => {
        await run(sandbox, step("true"));
        expect((await listLeftovers(`sluice.attempt=${task.attemptId}`)).length).toBe(1);
        const label = `sluice.owner`;
        expect((await listLeftovers(label)).length).toBeGreaterThan(2);
        const living = await inTask(async (alive, aliveTask) => {
          await run(alive, step("true"));
          const gone = once(owner, "exit");
          owner.kill("SIGKILL");
          await gone;
          await executor.removeDeadContainers();
          await executor.removeDeadNetworks();
          return listLeftovers(`sluice.attempt=${aliveTask.attemptId}`);
        });
        expect(living.length).toBe(1);
        const isRemoved = async () => (await listLeftovers(`sluice.attempt=${task.attemptId}`)).length === 0;
        await eventually(isRemoved, "the removal of what the dead worker left");
      },
      { executor: dead },
    );
    await dead.close();
  });

  it("makes way for a network and a container of others that have its names, and leaves them alone", async () => {
    const crowdedId = newWorkerId(Date.now());
    const name = (index: number) => `sluice-${crowdedId.slice(2)}-${index}`;
    const network = await docker.createNetwork({ Name: name(0), Internal: true });
    const container = await docker.createContainer({ name: name(1), Image: "busybox:stable", Cmd: ["true"] });
    onTestFinished(async () => {
      await Promise.all([network.remove(), container.remove()]);
    });
    const crowded = await openExecutor(crowdedId);
    const end = await inTask((sandbox) => run(sandbox, step("echo fine")), { executor: crowded }).finally(() =>
      crowded.close(),
    );
    expect(end.text).toBe("fine\n");
    expect(await listLeftovers(`sluice.worker=${crowdedId}`)).toEqual([]);
    await Promise.all([network.inspect(), container.inspect()]);
  });

  it("waits for a free address range and leaves nothing when it stops waiting", async () => {
    const small = await openExecutor(newWorkerId(Date.now()), { slots: 1 });
    onTestFinished(async () => void (await small.close()));
    const blockers: Docker.Network[] = [];
    const unblock = async () => {
      await Promise.all(blockers.splice(0).map((network) => network.remove()));
    };
    onTestFinished(unblock);
    const takeAll = async () => {
      for (;;) {
        const name = `sluice-test-${randomUUID()}`;
        const created = await docker.createNetwork({ Name: name }).catch(() => undefined);
        if (created === undefined) return;
        blockers.push(created);
      }
    };
    await takeAll();
    const waiting = inTask((sandbox) => run(sandbox, step("echo at last")), { executor: small });
    const cancel = new AbortController();
    const givenUp = inTask(
      (sandbox) => sandbox.prepareStep({ index: 1, name: "a", spec: step("true") }, cancel.signal),
      { executor: small },
    );
    setImmediate(() => cancel.abort(new Error("cancelled")));
    await expect(givenUp).rejects.toThrow("cancelled");
    await unblock();
    expect((await waiting).text).toBe("at last\n");
  });
});

describe("the pause program", () => {
  it("is a static executable for each architecture, and no other is pretended", () => {
    for (const [arch, machine] of [
      ["amd64", 62],
      ["arm64", 183],
    ] as const) {
      const program = createPauseProgram(arch);
      expect(program.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
      expect(program.readUInt16LE(18)).toBe(machine);
      expect(program.readBigUInt64LE(96)).toBe(BigInt(program.length));
    }
    expect(() => createPauseProgram("riscv64")).toThrow("amd64 and arm64");
  });
});

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** The blobs of an image as they are shipped, by digest, and the digest of its configuration. */
async function saveBlobs(name: string): Promise<{ imageId: string; blobs: Map<string, Buffer> }> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-saved-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const blobs = new Map<string, Buffer>();
  const archive = (await docker.getImage(name).get()) as unknown as Readable;
  const { config } = await splitSavedImage(
    archive,
    {
      folder,
      wants: () => true,
      takeBlob: async ({ digest, file }) => {
        blobs.set(digest, await readFile(file));
      },
    },
    never,
  );
  return { imageId: config.digest, blobs };
}
