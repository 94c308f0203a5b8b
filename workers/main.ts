import packageJson from "../package.json" with { type: "json" };
import { build } from "./build.ts";
import { parseCommandLine, workerHelp } from "./command-line.ts";
import { exitCodeOf } from "./drain-cause.ts";
import type { Worker } from "./worker.ts";

// What is imported above is small: the rest is loaded below, once signals are listened to.

/** Exit code for a configuration that cannot work. */
const usageExitCode = 2;
/** Exit code of a worker that was told twice to end, by whichever signals: what a drain that was cut short is known by. */
const abortedExitCode = 143;
/** Another signal so soon is the same request: a Ctrl-C reaches this process and a parent that ends it in its own way. */
const sameRequestMs = 1_000;

const { version } = packageJson;
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
  process.stdout.write(`${version}${build === undefined ? "" : ` (${build})`}\n`);
  process.exit(0);
}

let worker: Worker | undefined;
if (command.kind === "run") {
  // Told once: drain. Told again: end at once.
  let first: { signal: NodeJS.Signals; atMs: number } | undefined;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      // Nothing has begun that would have to be ended.
      if (worker === undefined) process.exit(0);
      if (first === undefined) {
        first = { signal, atMs: performance.now() };
        void worker.drain({ kind: "signal", signal });
      } else if (signal === first.signal || performance.now() - first.atMs > sameRequestMs) {
        worker.killAllNow();
        process.exit(abortedExitCode);
      }
    });
  }
  // The parent is gone without a word (`kill -9`): nobody is left to drain for. What stays in Docker is removed by the
  // next start.
  process.on("disconnect", () => {
    worker?.killAllNow();
    process.exit(1);
  });
}

const { loadConfigHere, openWorker } = await import("./open-worker.ts");
const loaded = await loadConfigHere(process.env);
// The SDK of AWS reads the environment by itself.
Object.assign(process.env, loaded.forOthers);
if (command.kind === "doctor") {
  const { runDoctor } = await import("./doctor/doctor.ts");
  const write = (text: string) => void process.stdout.write(text);
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

const { parsed, warnings, readToken } = loaded;
if (!parsed.ok) {
  for (const problem of parsed.problems) process.stderr.write(`sluice-worker: ${problem}\n`);
  process.exit(usageExitCode);
}
const { config } = parsed;
const logLevel = process.env.LOG_LEVEL ?? "info";
const opened = openWorker({ config, version, build, logLevel, ...(readToken && { readToken }) });
const { log } = opened;
worker = opened.worker;
for (const warning of warnings) log.warn(warning);

try {
  if (await worker.start()) process.send?.({ type: "ready", workerId: worker.workerId });
} catch (error) {
  log.fatal({ err: error }, "the worker could not start");
  worker.killAllNow();
  process.exit(1);
}
process.exit(exitCodeOf(await worker.ended));
