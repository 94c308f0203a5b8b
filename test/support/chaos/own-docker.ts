import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { onTestFinished, type TestContext } from "vitest";
import { type BoundChild, spawnBoundChild } from "../../../local/dynamodb/bound-child.ts";
import { ensureBusyboxImage } from "../docker-images.ts";
import { eventually } from "../eventually.ts";
import { listProcesses, signalProcess } from "./processes.ts";

/** Keeps the namespaces, and takes in the processes that a dead daemon leaves. */
const initProgram = "bash";
const init = "while :; do sleep 3600 & wait $!; done";

/**
 * A Docker daemon of a test's own, to be killed and started again. It lives in namespaces of its own for processes,
 * mounts and network, so the machine's daemon sees nothing of it, and all of it is gone with their first process.
 */
export class OwnDocker {
  readonly client: Docker;
  readonly #folder: string;
  readonly #holder: BoundChild;
  readonly #initPid: number;
  readonly #said: string[] = [];
  #daemon: BoundChild | undefined;

  private constructor(folder: string, holder: BoundChild, initPid: number) {
    this.#folder = folder;
    this.#holder = holder;
    this.#initPid = initPid;
    this.client = new Docker({ socketPath: this.#socket, host: undefined } as never);
  }

  /**
   * Starts one that has the image `busybox:stable`, with all the room there is or so many megabytes. Throws where this
   * user or machine cannot.
   */
  static async start(megabytes?: number): Promise<OwnDocker> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-docker-"));
    if (megabytes !== undefined) await mountData(join(folder, "data"), megabytes);
    const namespaces = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
    const holder = await spawnBoundChild({ command: "unshare", args: [...namespaces, initProgram, "-c", init] });
    let own: OwnDocker | undefined;
    try {
      const initPid = await findChild(holder.pid, initProgram);
      await checkIsApart(initPid);
      own = new OwnDocker(folder, holder, initPid);
      await own.startDaemon();
      await ensureBusyboxImage(own.client);
      return own;
    } catch (error) {
      await holder.stop(0);
      unmountData(join(folder, "data"));
      await rm(folder, { recursive: true, force: true });
      throw own ? new Error(own.#said.slice(-20).join("\n"), { cause: error }) : error;
    }
  }

  /** What `DOCKER_HOST` has to be for it to be used. */
  get host(): string {
    return `unix://${this.#socket}`;
  }

  /** Where it keeps everything. */
  get dataDir(): string {
    return join(this.#folder, "data");
  }

  get #socket(): string {
    return join(this.#folder, "docker.sock");
  }

  /** Starts the daemon and waits until it answers. */
  async startDaemon(): Promise<void> {
    const folder = this.#folder;
    const inside = ["-t", `${this.#initPid}`, "--net", "--mount", "--pid"];
    const roots = ["--data-root", this.dataDir, "--exec-root", join(folder, "exec")];
    const places = [...roots, "--pidfile", join(folder, "pid"), "-H", this.host];
    const pools = ["--default-address-pool", "base=10.213.0.0/16,size=24"];
    const daemon = await spawnBoundChild({
      command: "nsenter",
      args: [...inside, "dockerd", ...places, ...pools],
      onLine: (line) => this.#said.push(line),
    });
    this.#daemon = daemon;
    let exited = false;
    void daemon.exited.then(() => {
      exited = true;
    });
    await eventually(async () => exited || (await this.client.ping()), "an answer of the Docker daemon");
    if (exited) throw new Error("the Docker daemon ended at its start");
  }

  /** Sends the daemon a signal that does not end it. */
  async signalDaemon(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error("the Docker daemon does not run");
    signalProcess(await findChild(daemon.pid, "dockerd"), signal);
    // What started it stops with it, but does not go on with it.
    if (signal === "SIGCONT") signalProcess(daemon.pid, signal);
  }

  /** Ends the daemon by a signal and waits until it is gone. */
  async endDaemon(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    await this.signalDaemon(signal);
    await daemon?.exited;
    this.#daemon = undefined;
  }

  /** Ends everything and removes it. */
  async remove(): Promise<void> {
    if (this.#daemon) signalProcess(this.#daemon.pid, "SIGCONT");
    await this.#holder.stop(0);
    await this.#daemon?.exited;
    unmountData(this.dataDir);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** A daemon of the test's own; undefined, with a word, where this user or machine cannot have one. */
export async function startOwnDocker(context: TestContext, megabytes?: number): Promise<OwnDocker | undefined> {
  try {
    const docker = await OwnDocker.start(megabytes);
    onTestFinished(() => docker.remove());
    return docker;
  } catch (error) {
    process.stderr.write(`SKIPPED, no second Docker daemon can run here (${error}): ${context.task.name}\n`);
    context.skip();
    return undefined;
  }
}

async function mountData(folder: string, megabytes: number): Promise<void> {
  await mkdir(folder);
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder]);
  if (status !== 0) throw new Error(`no small file system can be mounted: ${stderr}`);
}

/** Where nothing is mounted there is nothing to do. */
function unmountData(folder: string): void {
  spawnSync("umount", [folder]);
}

/** The child of a process that a command's first word names; what binds it to this process is a child too. */
function findChild(parent: number, program: string): Promise<number> {
  return eventually(async () => {
    const children = listProcesses().filter((entry) => entry.parent === parent);
    return children.find(({ command }) => command.startsWith(`${program} `))?.pid;
  }, `the ${program} below process ${parent}`);
}

/** A daemon in the namespaces of the machine's own would take that one's network apart. */
async function checkIsApart(pid: number): Promise<void> {
  for (const kind of ["net", "mnt", "pid"]) {
    const [inside, outside] = await Promise.all([pid, "self"].map((of) => readlink(`/proc/${of}/ns/${kind}`)));
    if (inside === outside) throw new Error(`process ${pid} has no ${kind} namespace of its own`);
  }
}
