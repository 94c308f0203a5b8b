import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { Context, GlobalOptions } from "./context.ts";
import type { Runtime } from "./runtime.ts";

/** A command's work: given its context, it tells the exit code. */
type Work = (context: Context) => Promise<number> | number;

const jobStates = ["queued", "running", "completed", "failed", "aborted"];
const taskStates = ["pending", ...jobStates, "skipped", "timed_out"];
/** The most lines of a log's end that the API gives at once. */
const maxTailLines = 5_000;

/**
 * Runs a command line and tells the exit code. Each command's code is loaded only when it is called, so that a start
 * costs what its own command costs.
 */
export async function runCli(argv: readonly string[], runtime: Runtime): Promise<number> {
  let exitCode = 0;
  const program = createProgram(runtime);
  /** Runs what a command does and keeps its exit code. */
  const act = async (work: Work): Promise<void> => {
    const { runCommand } = await import("./run-command.ts");
    exitCode = await runCommand(runtime, program.opts<GlobalOptions>(), work);
  };
  addJobCommands(program, act);
  addTaskCommands(program, act);
  addSecretCommands(program, act);
  addImageCommands(program, act);
  addFleetCommands(program, act);
  addOtherCommands(program, act);
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help that was asked for is no mistake; everything else commander stops at is wrong usage.
    return error.exitCode === 0 ? 0 : 2;
  }
  return exitCode;
}

type Act = (work: Work) => Promise<void>;

function createProgram(runtime: Runtime): Command {
  const program = new Command("sluice")
    .description("Runs CI and batch jobs on machines that exist only while there is work.")
    .option("--url <url>", "control plane (SLUICE_URL; else the local stack)")
    .option("--token <token>", "who you are (SLUICE_TOKEN; else the local stack's)")
    .option("--json", "print JSON, and nothing else, on stdout")
    .option("--no-color", "print no colours (NO_COLOR)")
    .option("-q, --quiet", "print results only")
    .option("-v, --verbose", "say more on stderr")
    .helpCommand("help [command]", "show help for a command")
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .showHelpAfterError("(add --help for more)")
    .exitOverride();
  const { out, err } = runtime.openOutputs(true);
  program.configureOutput({
    writeOut: (text) => out.write(text),
    writeErr: (text) => err.write(text),
    getOutHelpWidth: () => Math.min(100, out.columns),
    getErrHelpWidth: () => Math.min(100, err.columns),
  });
  return program;
}

function addJobCommands(program: Command, act: Act): void {
  program
    .command("dev")
    .description("run the local stack: API, embedded cloud and workers, until Ctrl-C")
    .option("--port <port>", "port of the API", integer(0, 65_535), 4400)
    .option("--data-dir <folder>", "where everything is kept", ".sluice")
    .option("--workers <count>", "workers to start", integer(0, 64), 1)
    .option("--slots <count>", "slots of each worker", integer(1, 1024))
    .option("--reset", "start with nothing: delete what is kept")
    .action((options) => act(async (context) => (await import("./commands/dev.ts")).dev(context, options)));
  program
    .command("run <file> [args...]")
    .description("submit the job of a file and watch it")
    .option("-p, --param <name=value>", "a value for the file's templates (repeatable)", collect, [])
    .option("--async", "submit only; print the job's id")
    .option("-n, --dry-run", "print the job as it would be submitted; build and submit nothing")
    .addOption(new Option("--abort-on-failure", "end the job when a task exits with 42").conflicts("abortOnError"))
    .option("--abort-on-error", "end the job when a task fails otherwise or times out")
    .option("-f, --follow", "show the logs of all tasks")
    .option("-o, --output <folder>", "fetch the artifacts into this folder at the end")
    .option("--cancel-on-interrupt", "cancel the job on Ctrl-C")
    .action((file, args, options) =>
      act(async (context) => (await import("./commands/run.ts")).run(context, file, args, options)),
    );
  program
    .command("watch <job>")
    .description("show how a job goes until it ends")
    .action((job) => act(async (context) => (await import("./commands/watch.ts")).watch(context, job)));
  program
    .command("ps")
    .description("list jobs, newest first")
    .addOption(new Option("-s, --status <status>", "only jobs in this state").choices(jobStates))
    .option("--name <name>", "only jobs of this name")
    .option("--limit <count>", "jobs to list", integer(1, 100_000), 20)
    .option("-a, --all", "list all there are")
    .action((options) => act(async (context) => (await import("./commands/ps.ts")).ps(context, options)));
  program
    .command("top")
    .description("pools, workers and jobs on the whole terminal, as they change")
    .action(() => act(async (context) => (await import("./commands/top.ts")).top(context)));
  program
    .command("show <job> [task]")
    .description("everything about a job, or one of its tasks")
    .addOption(new Option("-s, --status <status>", "only tasks in this state").choices(taskStates))
    .option("-a, --all", "list completed tasks of a large job too")
    .action((job, task, options) =>
      act(async (context) => (await import("./commands/show.ts")).show(context, job, task, options)),
    );
}

function addTaskCommands(program: Command, act: Act): void {
  program
    .command("logs <job> <task>")
    .description("show the log of a task")
    .option("-n, --tail <count>", `only the last lines, ${maxTailLines} at most`, integer(0, maxTailLines))
    .option("-f, --follow", "go on until the task ends")
    .option("--since <time>", "only lines since then: 10m ago, or 2026-01-31T12:00:00Z")
    .option("--lines <from-to>", "only these lines of a step's log, counted from 1: 100-199, or 100-")
    .option(
      "--bytes <from-to>",
      "only these bytes of a step's log, counted from 0: 0-65535, 65536-, or =-65536 for the last",
    )
    .option("--step <number>", "only this step, counted from 1", integer(1, 1000))
    .option("--service <name>", "the log of this service, instead of those of the steps")
    .option("--attempt <number>", "this attempt, not the newest", integer(1, 999_999))
    .option("-t, --timestamps", "begin each line with its time")
    .action((job, task, options) =>
      act(async (context) => (await import("./commands/logs.ts")).logs(context, job, task, options)),
    );
  program
    .command("why <job> <task>")
    .description("why a task waits, where it runs, or why it ended so, with evidence")
    .action((job, task) => act(async (context) => (await import("./commands/why.ts")).why(context, job, task)));
  program
    .command("artifact <job> [tasks...]")
    .description(
      "fetch artifacts, checked: of all tasks where none is named; of running ones, what they have written so far",
    )
    .option("-o, --output <folder>", "where to put them")
    .addOption(new Option("-l, --list", "fetch nothing, list what is in that of one task").conflicts("extract"))
    .option("--attempt <number>", "of this attempt, not the newest", integer(1, 999_999))
    .option("--extract", "unpack them, each into a folder of its own")
    .action((job, tasks, options) =>
      act(async (context) => (await import("./commands/artifact.ts")).artifact(context, job, tasks, options)),
    );
  program
    .command("cancel <job> [task]")
    .description("end a job, or one of its tasks; what it has done is kept")
    .action((job, task) => act(async (context) => (await import("./commands/cancel.ts")).cancel(context, job, task)));
  program
    .command("retry <job> [tasks...]")
    .description("run tasks again that have ended: those that failed or timed out where none is named")
    .action((job, tasks) => act(async (context) => (await import("./commands/retry.ts")).retry(context, job, tasks)));
}

function addSecretCommands(program: Command, act: Act): void {
  const secrets = program.command("secrets").description("set, list and remove what jobs get by `secrets:`");
  secrets
    .command("set <name> [value]")
    .description("set a secret; without a value it is asked for, or read from stdin up to its end")
    .addOption(new Option("--file <path>", "take the value from a file, as it is"))
    .action((name, value, { file }) =>
      act(async (context) => (await import("./commands/secrets.ts")).setSecret(context, name, { value, file })),
    );
  secrets
    .command("ls")
    .description("list secrets, never their values")
    .action(() => act(async (context) => (await import("./commands/secrets.ts")).listSecrets(context)));
  secrets
    .command("rm <names...>")
    .description("remove secrets")
    .action((names) => act(async (context) => (await import("./commands/secrets.ts")).removeSecrets(context, names)));
}

function addImageCommands(program: Command, act: Act): void {
  const images = program.command("images").description("list and remove images that were shipped");
  images
    .command("ls")
    .description("list the blobs that images consist of, the longest unused first")
    .action(() => act(async (context) => (await import("./commands/images.ts")).listImages(context)));
  images
    .command("prune")
    .description("what can be removed by age and size; removes it with --apply")
    .option("--unused-days <count>", "what was unused for so long", integer(7, 3_650))
    .option("--max-size <size>", "the longest unused above this size in all, such as 20g")
    .option("--apply", "remove it; the control plane does so by itself once a day, by its own limits")
    .action((options) => act(async (context) => (await import("./commands/images.ts")).pruneImages(context, options)));
}

function addFleetCommands(program: Command, act: Act): void {
  const workers = program.command("workers").description("list workers; let them drain, or go on");
  workers
    .command("ls", { isDefault: true })
    .description("list workers that live or were lost")
    .option("--pool <pool>", "only those of this pool")
    .option("-a, --all", "also those that stopped")
    .action((options) => act(async (context) => (await import("./commands/workers.ts")).listWorkers(context, options)));
  workers
    .command("drain <workers...>")
    .description("let workers finish what they hold and end; what is left goes to others")
    .action((ids) => act(async (context) => (await import("./commands/workers.ts")).drainWorkers(context, ids)));
  workers
    .command("undrain <workers...>")
    .description("let workers go on that were asked to drain and have not ended")
    .action((ids) => act(async (context) => (await import("./commands/workers.ts")).undrainWorkers(context, ids)));
  const pools = program.command("pools").description("list pools and what happened to their workers");
  pools
    .command("ls", { isDefault: true })
    .description("list pools and how their workers are")
    .action(() => act(async (context) => (await import("./commands/pools.ts")).listPools(context)));
  pools
    .command("events")
    .description("what happened to pools and workers in the last 30 days, the newest last")
    .option("--pool <pool>", "only of this pool")
    .option("--worker <worker>", "only of this worker")
    .option("--type <type>", "only events of this type, such as worker_lost")
    .option("--limit <count>", "the newest so many", integer(1, 100_000), 50)
    .action((options) =>
      act(async (context) => (await import("./commands/pools.ts")).listFleetEvents(context, options)),
    );
  pools
    .command("desire <pool>")
    .argument("<count>", "or any", readDesired)
    .description("say how many workers a pool should have; with fewer it is degraded")
    .action((pool, count) =>
      act(async (context) => (await import("./commands/pools.ts")).desireWorkers(context, pool, count)),
    );
  pools
    .command("forget <pool>")
    .description("which records of past workers would be removed; removes them with --apply")
    .option("--apply", "remove them")
    .action((pool, options) =>
      act(async (context) => (await import("./commands/pools.ts")).forgetPool(context, pool, options)),
    );
}

function readDesired(count: string): number | null {
  return count === "any" ? null : integer(0, 100_000)(count);
}

function addOtherCommands(program: Command, act: Act): void {
  program
    .command("validate <file> [args...]")
    .description("check a job file; build and submit nothing")
    .option("-p, --param <name=value>", "a value for the file's templates (repeatable)", collect, [])
    .action((file, args, options) =>
      act(async (context) => (await import("./commands/validate.ts")).validate(context, file, args, options)),
    );
  program
    .command("schema")
    .description("print the JSON Schema of job files")
    .option("--types", "print types for job files in TypeScript instead: write them to sluice.d.ts")
    .action((options) => act(async (context) => (await import("./commands/schema.ts")).schema(context, options)));
  program
    .command("doctor")
    .description("look at the control plane from outside: what works, what is to be mended")
    .action(() => act(async (context) => (await import("./commands/doctor.ts")).doctor(context)));
  program
    .command("cost-model")
    .description("what Sluice costs on AWS, from counted requests and list prices")
    .option("--tasks <count>", "tasks of a month", integer(0, 1_000_000_000), 10_000)
    .option("--worker-hours <hours>", "hours that workers are up in a month", integer(0, 10_000_000), 100)
    .option("--watched-hours <hours>", "hours that jobs are watched in a month", integer(0, 10_000_000), 20)
    .action((options) =>
      act(async (context) => (await import("./commands/cost-model.ts")).showCosts(context, options)),
    );
  program
    .command("version")
    .description("print the version")
    .action(() => act(async (context) => (await import("./commands/version.ts")).showVersion(context)));
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

/** A parser of whole numbers within bounds, both included. */
function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
