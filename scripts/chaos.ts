import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findImage } from "../test/support/chaos/image.ts";
import { type ChaosReport, type ChaosVerdict, runChaos } from "../test/support/chaos/run-chaos.ts";
import { type CheckName, checks } from "../test/support/chaos/verdict.ts";

/**
 * `npm run chaos`: gives a local stack of its own a stream of jobs, kills its processes at random moments, and tells
 * at the end whether anything was lost, counted twice, left hanging or left behind. The exit code is 0 only if not.
 */
const usage = `Usage: npm run chaos -- [options]
  --kills N     processes killed (40)
  --pauses N    workers stopped for longer than their lease (1 for every 20 kills)
  --tasks N     tasks at least (120)
  --seed S      the seed of all random choices (a new one)
  --minutes M   no kill comes later than this (20)
  --workers N   workers (2)
  --slots N     slots of each worker (3)
  --gap MS      longest time between two kills (5000)
  --no-docker   host processes only
  --help        this text`;

const settleMs = 5 * 60_000;
const maxFindingsShown = 50;

interface Settings {
  kills: number;
  pauses: number;
  tasks: number;
  seed: number;
  minutes: number;
  workers: number;
  slots: number;
  gapMs: number;
  docker: boolean;
}

const text = { type: "string" } as const;
const options = {
  kills: text,
  pauses: text,
  tasks: text,
  seed: text,
  minutes: text,
  workers: text,
  slots: text,
  gap: text,
  "no-docker": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

/** What was asked for, or what is wrong with it. */
function readSettings(): Settings | "help" | { problem: string } {
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>["values"];
  try {
    values = parseArgs({ options }).values;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { problem: error.message };
  }
  if (values.help) return "help";
  const problems: string[] = [];
  const read = (name: Exclude<keyof typeof options, "no-docker" | "help">, fallback: number, low: number) => {
    const given = values[name];
    if (given === undefined) return fallback;
    if (/^\d+$/.test(given) && Number(given) >= low) return Number(given);
    problems.push(`--${name} is a whole number from ${low} on; it is '${given}'`);
    return fallback;
  };
  const kills = read("kills", 40, 0);
  const settings = {
    kills,
    pauses: read("pauses", Math.ceil(kills / 20), 0),
    tasks: read("tasks", 120, 1),
    seed: read("seed", Date.now() % 1_000_000, 0),
    minutes: read("minutes", 20, 1),
    // A task of a worker that is stopped runs on another.
    workers: read("workers", 2, 2),
    // Some tasks take two.
    slots: read("slots", 3, 2),
    gapMs: read("gap", 5_000, 100),
    docker: values["no-docker"] !== true,
  };
  return problems.length > 0 ? { problem: problems.join("\n") } : settings;
}

const { stdout } = process;

function say(text: string): void {
  stdout.write(`${stdout.isTTY ? "\r\x1b[K" : ""}${text}\n`);
}

/** On a terminal the progress is one line that changes; elsewhere it is said now and then. */
function createReport(): ChaosReport {
  const quietMs = 10_000;
  let saidAtMs = 0;
  return {
    event: say,
    progress(text) {
      if (stdout.isTTY) stdout.write(`\r\x1b[K${text}`);
      else if (Date.now() - saidAtMs > quietMs) {
        saidAtMs = Date.now();
        say(text);
      }
    },
  };
}

function printVerdict(verdict: ChaosVerdict, settings: Settings): void {
  const { findings, takeoverMs, jobs, tasks, attempts, kills, pauses, cancels, retries, givenUp, lateManifests } =
    verdict;
  say("");
  for (const name of Object.keys(checks) as CheckName[]) {
    const wrong = findings.filter(({ check }) => check === name).length;
    say(`  ${wrong === 0 ? "ok  " : "FAIL"}  ${checks[name]}${wrong === 0 ? "" : ` (${wrong})`}`);
  }
  say("");
  say(
    `  ${jobs} jobs, ${tasks} tasks, ${attempts} attempts, ${kills} kills, ${pauses} pauses, ${cancels} cancels, ${retries} retries, seed ${settings.seed}`,
  );
  say(`  ${givenUp} tasks given up by the limit of infrastructure failures, ${lateManifests} late manifests`);
  const median = takeoverMs[Math.floor(takeoverMs.length / 2)];
  if (median !== undefined) {
    const [most = median] = takeoverMs.slice(-1);
    const range = `${takeoverMs.length} times, at most ${(most / 1000).toFixed(1)} s`;
    say(`  from the kill of a worker to its task running again: median ${(median / 1000).toFixed(1)} s (${range})`);
  }
  for (const { check, jobId, task, what } of findings.slice(0, maxFindingsShown)) {
    say(`\n  ${check}: ${[jobId, task].filter(Boolean).join("/")} ${what}`);
  }
  if (findings.length > maxFindingsShown) say(`\n  … and ${findings.length - maxFindingsShown} more`);
  for (const line of verdict.stories) say(line);
}

async function main(settings: Settings): Promise<number> {
  const stop = new AbortController();
  const told = () => stop.abort(new Error("told to stop"));
  process.once("SIGINT", told);
  process.once("SIGTERM", told);
  const found = settings.docker ? await findImage() : { problem: "as asked for" };
  if ("problem" in found) say(`without containers: ${found.problem}`);
  const folder = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
  let clean = false;
  try {
    const verdict = await runChaos({
      ...settings,
      longestMs: settings.minutes * 60_000,
      longestGapMs: settings.gapMs,
      dataDir: folder,
      image: "image" in found ? found.image : undefined,
      settleMs,
      signal: stop.signal,
      report: createReport(),
    });
    printVerdict(verdict, settings);
    clean = verdict.findings.length === 0;
    say(clean ? "\nNothing was lost." : `\nSomething is wrong; logs and data are in ${folder}`);
    return clean ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say("stopped before the end: no verdict");
    clean = true;
    return 130;
  } finally {
    if (clean) await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

const settings = readSettings();
if (settings === "help") {
  stdout.write(`${usage}\n`);
} else if ("problem" in settings) {
  process.stderr.write(`${settings.problem}\n${usage}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = await main(settings);
}
