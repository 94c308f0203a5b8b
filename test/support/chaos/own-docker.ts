import { mkdtemp, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
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

  /** Starts one that has the image `busybox:stable`. Throws where this user or machine cannot. */
  static async start(): Promise<OwnDocker> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-docker-"));
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
      await rm(folder, { recursive: true, force: true });
      throw own ? new Error(own.#said.slice(-20).join("\n"), { cause: error }) : error;
    }
  }

  /** What `DOCKER_HOST` has to be for it to be used. */
  get host(): string {
    return `unix://${this.#socket}`;
  }

  get #socket(): string {
    return join(this.#folder, "docker.sock");
  }

  /** Starts the daemon and waits until it answers. */
  async startDaemon(): Promise<void> {
    const folder = this.#folder;
    const inside = ["-t", `${this.#initPid}`, "--net", "--mount", "--pid"];
    const roots = ["--data-root", join(folder, "data"), "--exec-root", join(folder, "exec")];
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

  /** Ends the daemon by a signal and waits until it is gone. */
  async endDaemon(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon) throw new Error("the Docker daemon does not run");
    signalProcess(await findChild(daemon.pid, "dockerd"), signal);
    await daemon.exited;
    this.#daemon = undefined;
  }

  /** Ends everything and removes it. */
  async remove(): Promise<void> {
    await this.#holder.stop(0);
    await this.#daemon?.exited;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
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
