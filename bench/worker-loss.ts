import { findWorkerId } from "../test/support/chaos/fault-injector.ts";
import { findByRole, signalProcess } from "../test/support/chaos/processes.ts";
import { eventually } from "../test/support/eventually.ts";
import { callApi, readTask, step, submit } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const patienceMs = 120_000;
/** The first attempt stays until something ends it. */
const stay = '[ "$SLUICE_ATTEMPT" -ge 2 ] || sleep 1000';

/**
 * How long a task is without a worker when its worker gets a signal: until its next attempt is claimed elsewhere, by the
 * control plane's clock, on which this runs too. Needs a stack with two workers.
 */
export async function measureWorkerLoss(stack: RunningStack, rounds: number): Promise<Figure[]> {
  const killed: number[] = [];
  const drained: { whole: number; released: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    killed.push((await loseWorker(stack, "SIGKILL")).whole);
    drained.push(await loseWorker(stack, "SIGTERM"));
  }
  const afterKill = summarize(killed);
  const afterRelease = summarize(drained.map(({ released }) => released));
  const afterTerm = summarize(drained.map(({ whole }) => whole));
  return [
    {
      name: `SIGKILL of a worker → its task runs elsewhere, median of ${rounds}`,
      value: describeMs(afterKill),
      aim: { text: "≤ 45 s", met: afterKill.max <= 45_000 },
    },
    {
      name: `a draining worker gives its task back → it runs elsewhere, median of ${rounds}`,
      value: describeMs(afterRelease),
      aim: { text: "≤ 2 s", met: afterRelease.max <= 2_000 },
    },
    {
      name: `SIGTERM of a worker, its task does not end within the drain → it runs elsewhere, median of ${rounds}`,
      value: describeMs(afterTerm),
    },
  ];
}

async function loseWorker(stack: RunningStack, signal: NodeJS.Signals): Promise<{ whole: number; released: number }> {
  const workers = await awaitTwoWorkers(stack);
  const jobId = await submit(stack, { name: "loss", steps: [step({ run: stay })], tasks: [{ name: "t" }] });
  const workerId = await eventually(
    async () => (await readTask(stack, jobId, "t")).attempts[0]?.workerId,
    "the first attempt",
    patienceMs,
  );
  const victim = workers.get(workerId);
  if (victim === undefined) throw new Error(`worker ${workerId} does not run`);
  const sentAt = Date.now();
  signalProcess(victim, signal);
  const [first, second] = await eventually(
    async () => {
      const { attempts } = await readTask(stack, jobId, "t");
      return attempts.length > 1 ? attempts : undefined;
    },
    "the second attempt",
    patienceMs,
  );
  const claimedAt = Date.parse(second?.claimedAt ?? "");
  return { whole: claimedAt - sentAt, released: claimedAt - Date.parse(first?.endedAt ?? "") };
}

/** Waits until both workers are up again and known to the control plane; answers their pids by worker. */
async function awaitTwoWorkers(stack: RunningStack): Promise<Map<string, number>> {
  return eventually(
    async () => {
      const entries = findByRole(stack.pid, "worker");
      const pids = await Promise.all(
        entries.map(async (entry) => [await findWorkerId(stack.dataDir, entry), entry.pid] as const),
      );
      const byWorker = new Map(pids.flatMap(([workerId, pid]) => (workerId === undefined ? [] : [[workerId, pid]])));
      const page = await callApi<{ workers: { workerId: string; state: string }[] }>(stack, "/v1/workers");
      const alive = page.workers.filter((worker) => worker.state === "alive" && byWorker.has(worker.workerId));
      return alive.length >= 2 ? byWorker : undefined;
    },
    "two workers",
    patienceMs,
  );
}

function describeMs({ median, min, max }: { median: number; min: number; max: number }): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return `${seconds(median)} (${seconds(min)} … ${seconds(max)})`;
}
