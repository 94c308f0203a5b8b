import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { newWorkerId } from "../../shared/domain/ids.ts";
import { createLogger } from "../../shared/log.ts";
import { defaultDockerSocket } from "../../workers/docker-address.ts";
import { DockerExecutor } from "../../workers/executors/docker/docker-executor.ts";
import type { Isolation } from "../../workers/executors/docker/isolation.ts";
import type { TaskContext, TaskSandbox } from "../../workers/executors/executor.ts";
import { readOwner } from "../../workers/owner.ts";
import { createWorkspace } from "../../workers/workspace.ts";
import { listLeftovers, needDocker } from "../support/docker.ts";
import { eventually } from "../support/eventually.ts";
import { imageSettings } from "../support/image-loader.ts";
import { metadataAnswer, startMetadataStandIn } from "../support/metadata-stand-in.ts";

const log = createLogger("test", { level: process.env.LOG_LEVEL ?? "silent" });
const never = new AbortController().signal;
const image = "busybox:stable";

const askMetadata = String.raw`printf 'GET /latest/meta-data/ HTTP/1.0\r\n\r\n' | nc -w 10 169.254.169.254 80 2>&1 | tail -n 1`;
const tellRights = "grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status; ls /var/run/docker.sock 2>&1";
/** The bits of the usual capabilities of a container; of these and of NET_RAW; of none. */
const [usual, withRaw] = ["00000000800405fb", "00000000800425fb"];

/** Output that is kept as one text. */
function collect() {
  const output = {
    text: "",
    write: (_stream: string, bytes: Buffer) => {
      output.text += bytes.toString();
      return undefined;
    },
  };
  return output;
}

describe("the containers of a task", () => {
  let folder: string;
  const workerIds: string[] = [];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-isolation-"));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
    for (const workerId of workerIds) expect(await listLeftovers(`sluice.worker=${workerId}`)).toEqual([]);
  });

  /** Gives a worker's executor for a time, and what opens its tasks. */
  async function withExecutor<T>(
    isolation: Isolation,
    work: (open: () => Promise<TaskSandbox>) => Promise<T>,
  ): Promise<T> {
    const workerId = newWorkerId(Date.now());
    workerIds.push(workerId);
    const executor = new DockerExecutor({
      images: imageSettings(folder),
      isolation,
      address: { kind: "socket", path: defaultDockerSocket },
      slots: 1,
      workerId,
      owner: await readOwner(),
      log,
    });
    let attempt = 0;
    const open = async () => {
      attempt++;
      const task: TaskContext = {
        attemptId: `job-${workerId}.0.task.${attempt}`,
        jobId: "job-1",
        task: "unit",
        attempt,
        slots: 1,
        env: {},
        secrets: new Map(),
        workspace: await createWorkspace(folder, `${workerId}-${attempt}`),
        shippedImages: [],
        images: {},
      };
      return executor.openTask(task);
    };
    try {
      return await work(open);
    } finally {
      await executor.close();
    }
  }

  /** Runs scripts in a step, and in a service of its task; tells what they print. */
  function runIsolated(isolation: Isolation, script: string): Promise<{ step: string; service: string }> {
    return withExecutor(isolation, async (open) => {
      const sandbox = await open();
      try {
        return { service: await runService(sandbox, script), step: await runStep(sandbox, script) };
      } finally {
        await sandbox.close();
      }
    });
  }

  async function runStep(sandbox: TaskSandbox, run: string): Promise<string> {
    const spec = { kind: "container", name: "a", image, shipped: false, entry: { run }, env: {} } as const;
    const prepared = await sandbox.prepareStep({ index: 1, name: "a", spec }, never);
    const output = collect();
    await (await prepared.start(output)).ended;
    return output.text;
  }

  async function runService(sandbox: TaskSandbox, script: string): Promise<string> {
    const command = ["sh", "-c", `${script}; echo over; exec sleep 600`];
    const spec = { image, command, env: {}, tmpfs: [] };
    const prepared = await sandbox.prepareService?.({ name: "side", spec }, never);
    const output = collect();
    const running = await prepared?.start(output);
    await eventually(() => output.text.endsWith("over\n"), "the end of the service's script");
    running?.kill();
    await running?.ended;
    return output.text.replace(/over\n$/, "");
  }

  it("cannot reach the machine's metadata service, unless the worker was told to let them", async (context) => {
    if (!(await needDocker(context))) return;
    const standIn = await startMetadataStandIn();
    if (standIn === undefined && process.env.CI) throw new Error("this test needs root");
    if (standIn === undefined) return context.skip();
    try {
      const reachable = await runIsolated({ metadata: "reachable", addedCapabilities: [] }, askMetadata);
      expect(reachable).toEqual({ step: metadataAnswer, service: metadataAnswer });
      const script = `${askMetadata}; ip -6 route | grep -o 'unreachable fd00:ec2::254'; ip route get 8.8.8.8 | grep -c eth0`;
      const refused = expect.stringMatching(
        /(No route to host|Host is unreachable)[\s\S]*unreachable fd00:ec2::254\n[\s\S]*1\n$/,
      );
      const blocked = await runIsolated({ metadata: "blocked", addedCapabilities: [] }, script);
      expect(blocked).toEqual({ step: refused, service: refused });
    } finally {
      await standIn.stop();
    }
  });

  it("have the rights that packages need to be installed, no others, and no socket of Docker", async (context) => {
    if (!(await needDocker(context))) return;
    const rights = (capabilities: string) =>
      `CapEff:\t${capabilities}\nCapBnd:\t${capabilities}\nNoNewPrivs:\t1\nSeccomp:\t2\n` +
      "ls: /var/run/docker.sock: No such file or directory\n";
    const plain = await runIsolated({ metadata: "blocked", addedCapabilities: [] }, tellRights);
    expect(plain).toEqual({ step: rights(usual), service: rights(usual) });
    const added = await runIsolated({ metadata: "blocked", addedCapabilities: ["NET_RAW"] }, tellRights);
    expect(added).toEqual({ step: rights(withRaw), service: rights(withRaw) });
  });

  it("leave nothing in a network for the next task where they may change it", async (context) => {
    if (!(await needDocker(context))) return;
    const script = "ip route add unreachable 203.0.113.7; ip route | grep -c unreachable";
    const said = await withExecutor({ metadata: "reachable", addedCapabilities: ["NET_ADMIN"] }, async (open) => {
      const texts: string[] = [];
      for (let turn = 0; turn < 3; turn++) {
        const sandbox = await open();
        texts.push(await runStep(sandbox, script).finally(() => sandbox.close()));
      }
      return texts;
    });
    expect(said).toEqual(["1\n", "1\n", "1\n"]);
  });
});
