/**
 * Stands for the `pulumi` binary while SST's own CLI makes a plan: it answers the few commands that CLI gives, and for
 * a preview evaluates the program that CLI has bundled, with Pulumi's own runtime in its test mode. Every resource the
 * program registers is written down; nothing is created and nobody is asked.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Plan } from "./plan-file.ts";
import { prepareRuntime } from "./recording-runtime.ts";

/** Must be the version of the SDK in SST's platform. */
const version = "v3.215.0";
/** After the first failure: enough for others to be told too. What depends on it never ends. */
const failureGraceMs = 200;

const [command = "", ...args] = process.argv.slice(2);
if (command === "version") process.stdout.write(`${version}\n`);
else if (command === "stack" && args[0] === "init") initStack(args[1] ?? "");
else if (command === "preview") await preview();
else refuse();

/** There is no way from here to a cloud: whatever would change one is refused. */
function refuse(): never {
  process.stderr.write(`the plan's stand-in for pulumi does not know "pulumi ${command}": it only makes plans\n`);
  process.exit(2);
}

/** `organization/<app>/<stage>`: an empty state. */
function initStack(stack: string): void {
  const [, app = "", stage = ""] = stack.split("/");
  const file = join(".pulumi", "stacks", app, `${stage}.json`);
  mkdirSync(dirname(file), { recursive: true });
  const manifest = { time: new Date(0).toISOString(), magic: "", version };
  writeFileSync(file, JSON.stringify({ version: 3, checkpoint: { stack, latest: { manifest, resources: [] } } }));
}

function readOption(name: string): string {
  return args[args.indexOf(name) + 1] ?? "";
}

async function preview(): Promise<void> {
  const main = /^main: (.+)$/m.exec(readFileSync("Pulumi.yaml", "utf8"))?.[1] ?? "";
  const [, app = "", stage = ""] = readOption("--stack").split("/");
  const eventLog = readOption("--event-log");
  const planFile = process.env.SLUICE_PLAN_FILE;
  if (!planFile) throw new Error("SLUICE_PLAN_FILE does not say where the plan goes");
  pinRandomness(main);
  let failed = false;
  const told = new Set<string>();
  const fail = (error: unknown) => {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    // The runtime wraps what a model threw into an error without words.
    if (told.has(message) || (error instanceof Error && error.message === "")) return;
    told.add(message);
    appendFileSync(eventLog, `${JSON.stringify(describeFailure(message))}\n`);
    process.stderr.write(`${message}\n`);
    if (failed) return;
    failed = true;
    setTimeout(() => process.exit(1), failureGraceMs);
  };
  const { resources, run } = prepareRuntime(main, app, stage, fail);
  process.on("unhandledRejection", fail);
  process.on("uncaughtException", fail);
  let outputs: Record<string, unknown> = {};
  // Functions that no output names are still being built when the outputs are known: all is done when nothing is left
  // to do.
  process.once("beforeExit", () => {
    if (failed) return;
    const plan: Plan = { stage, resources, outputs, bundles: {} };
    writeFileSync(planFile, JSON.stringify(plan, undefined, 2));
    appendFileSync(eventLog, `${JSON.stringify(describeEnd(resources.length))}\n`);
  });
  try {
    outputs = await run(async () => ((await import(pathToFileURL(main).href)) as { default: unknown }).default);
  } catch (error) {
    fail(error);
  }
}

/** Names end in random letters; a plan's do not change from one evaluation to the next. */
function pinRandomness(main: string): void {
  const crypto = createRequire(main)("node:crypto") as { randomBytes: (size: number) => Buffer };
  crypto.randomBytes = (size) => Buffer.alloc(size);
  syncBuiltinESMExports();
}

function describeFailure(message: string) {
  return { ...eventHead(), diagnosticEvent: { prefix: "", message, color: "never", severity: "error" } };
}

function describeEnd(count: number) {
  return {
    ...eventHead(),
    summaryEvent: { maybeCorrupt: false, durationSeconds: 0, resourceChanges: { create: count } },
  };
}

function eventHead() {
  return { sequence: 0, timestamp: Math.floor(Date.now() / 1000) };
}
