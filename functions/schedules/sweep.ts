import pLimit from "p-limit";
import { type ItemKey, imageRetentionKey, parseDigestKey, workerIdOf } from "../../shared/repository/keys.ts";
import { parseChoreKey } from "../consumers/chores.ts";
import type { Deps } from "../deps.ts";
import { workOnChore } from "../operations/chores.ts";
import { noteSilent } from "../operations/liveness.ts";
import { sweepImages } from "./sweep-images.ts";
import { sweepJob } from "./sweep-job.ts";
import type { SweepReport, SweptUnit } from "./sweep-report.ts";
import { sweepTasks } from "./sweep-tasks.ts";

const duePageSize = 200;
const parallelUnits = 8;

/**
 * Finishes what a lost trigger, a lost message or a crash left behind, found by the due index: moves not counted,
 * leases run out, silent workers, chores not done, messages not known to be sent, jobs past their timeout. Everything
 * it does is conditional, so it may run twice. What fails is left for the next run and keeps nothing else from being
 * done.
 */
export async function sweepDue(
  deps: Deps,
  remainingMs: number,
  { pageSize = duePageSize }: { pageSize?: number } = {},
): Promise<SweepReport> {
  const report: SweepReport = {
    folded: 0,
    chores: 0,
    dispatched: 0,
    timedOut: 0,
    rescued: 0,
    workersLost: 0,
    blobsRemoved: 0,
    failed: 0,
  };
  const deadlineMs = deps.now() + remainingMs;
  const limit = pLimit(parallelUnits);
  for await (const keys of deps.jobs.eachDuePage(deps.now(), pageSize)) {
    if (deps.now() > deadlineMs) break;
    await Promise.all(
      toUnits(deps, keys, deadlineMs).map((unit) =>
        limit(async () => {
          if (deps.now() > deadlineMs) return;
          try {
            addUp(report, await unit.work());
          } catch (error) {
            report.failed += 1;
            deps.log.error({ err: error, due: unit.name }, "the sweep could not finish this; the next run tries again");
          }
        }),
      ),
    );
  }
  return report;
}

interface Unit {
  name: string;
  work: () => Promise<SweptUnit>;
}

/** Tasks of one job are one unit: they are counted together. So are workers: those of a pool write the same item. */
function toUnits(deps: Deps, keys: readonly ItemKey[], deadlineMs: number): Unit[] {
  const tasks = Map.groupBy(
    keys.filter((key) => key.pk.startsWith("TASKS#")),
    (key) => key.pk.split("#")[1] ?? "",
  );
  const workers = keys.flatMap((key) => workerIdOf(key) ?? []);
  return [
    ...[...tasks].map(([jobId, taskKeys]) => ({
      name: `tasks of ${jobId}`,
      work: () =>
        sweepTasks(
          deps,
          jobId,
          taskKeys.map(({ pk, sk }) => ({ jobId, bucket: Number(pk.split("#")[2]), task: sk })),
        ),
    })),
    ...(workers.length === 0 ? [] : [{ name: "workers", work: () => sweepWorkers(deps, workers, deadlineMs) }]),
    ...keys
      .filter((key) => !key.pk.startsWith("TASKS#") && workerIdOf(key) === undefined)
      .map((key) => ({ name: `${key.pk} ${key.sk}`, work: () => sweepItem(deps, key, deadlineMs) })),
  ];
}

/** Live workers are always due; what has to be written about them is that they are not. */
async function sweepWorkers(deps: Deps, workerIds: readonly string[], deadlineMs: number): Promise<SweptUnit> {
  return { workersLost: await noteSilent(deps, await deps.workers.getMany(workerIds), { deadlineMs }) };
}

async function sweepItem(deps: Deps, key: ItemKey, deadlineMs: number): Promise<SweptUnit> {
  if (key.pk === imageRetentionKey.pk) return sweepImages(deps, deadlineMs);
  const jobId = parseDigestKey(key);
  if (jobId !== undefined) return sweepJob(deps, jobId);
  const chore = parseChoreKey(key.pk, key.sk);
  if (!chore) return {};
  await workOnChore(deps, chore.jobId, chore.kind, deadlineMs);
  return { chores: 1 };
}

function addUp(report: SweepReport, unit: SweptUnit): void {
  for (const [name, count] of Object.entries(unit)) report[name as keyof SweptUnit] += count;
}
