import { availableParallelism } from "node:os";
import packageJson from "../package.json" with { type: "json" };
import { createEcrClient } from "../shared/clients/ecr.ts";
import { createObjectStore, createS3Client } from "../shared/clients/object-store.ts";
import { createQueue, createSqsClient } from "../shared/clients/queue.ts";
import { createLogger, openStdout } from "../shared/log.ts";
import { build } from "./build.ts";
import { parseCommandLine, workerHelp } from "./command-line.ts";
import { createControlPlaneClient } from "./control-plane-client.ts";
import { exitCodeOf } from "./drain-cause.ts";
import { loadConfig } from "./load-config.ts";
import { MaskedDestination } from "./masking/masked-destination.ts";
import { readStopTimeout } from "./service-manager.ts";
import { Worker } from "./worker.ts";

/** Exit code for a configuration that cannot work. */
const usageExitCode = 2;
/** Exit code of a worker that was told twice to end (128 + SIGTERM). */
const abortedExitCode = 143;

const command = parseCommandLine(process.argv.slice(2));
if (command.kind === "unknown") {
  process.stderr.write(`sluice-worker: there is no ${command.argument} here\n${workerHelp}`);
  process.exit(usageExitCode);
}
if (command.kind === "help") {
  process.stdout.write(workerHelp);
  process.exit(0);
}
if (command.kind === "version") {
  process.stdout.write(`${packageJson.version}${build === undefined ? "" : ` (${build})`}\n`);
  process.exit(0);
}

const stopTimeoutMs = await readStopTimeout(process.env);
const loaded = loadConfig({
  env: process.env,
  host: { cores: availableParallelism(), cwd: process.cwd(), uid: process.getuid?.() ?? 0, stopTimeoutMs },
});
// The SDK of AWS reads the environment by itself.
Object.assign(process.env, loaded.forOthers);
if (command.kind === "doctor") {
  const { runDoctor } = await import("./doctor/doctor.ts");
  const write = (text: string) => void process.stdout.write(text);
  const { version } = packageJson;
  process.exitCode = await runDoctor({
    loaded,
    version,
    build,
    nodeVersion: process.version,
    json: command.json,
    write,
  });
  process.exit();
}

const maskedLog = new MaskedDestination(openStdout());
const log = createLogger("worker", { level: process.env.LOG_LEVEL ?? "info", destination: maskedLog });
const { parsed } = loaded;
if (!parsed.ok) {
  for (const problem of parsed.problems) process.stderr.write(`sluice-worker: ${problem}\n`);
  process.exit(usageExitCode);
}
const { config } = parsed;
for (const warning of loaded.warnings) log.warn(warning);

const s3 = createS3Client();
const worker = new Worker({
  config,
  version: packageJson.version,
  build,
  client: createControlPlaneClient(config.controlPlaneUrl, config.token, loaded.readToken),
  openQueue: (queueUrl) => createQueue(createSqsClient(), queueUrl),
  openBucket: (bucket) => createObjectStore(s3, bucket),
  // The credentials of any client are those of this machine.
  ecr: config.ecr && createEcrClient({ credentials: s3.config.credentials, endpoint: config.ecr.endpoint }),
  log,
  maskedLog,
});

// Told once: drain. Told the same again: end at once. SIGINT and SIGTERM together are one request: a terminal's Ctrl-C
// reaches this process and a parent that passes it on.
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  let told = false;
  process.on(signal, () => {
    if (told) {
      worker.killAllNow();
      process.exit(abortedExitCode);
    }
    told = true;
    void worker.drain({ kind: "signal", signal });
  });
}

// The parent is gone without a word (`kill -9`): nobody is left to drain for. What stays in Docker is removed by the
// next start.
process.on("disconnect", () => {
  worker.killAllNow();
  process.exit(1);
});

try {
  if (await worker.start()) process.send?.({ type: "ready", workerId: worker.workerId });
} catch (error) {
  log.fatal({ err: error }, "the worker could not start");
  worker.killAllNow();
  process.exit(1);
}
process.exit(exitCodeOf(await worker.ended));
