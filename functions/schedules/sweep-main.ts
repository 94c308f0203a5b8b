import type { Context, ScheduledEvent } from "aws-lambda";
import { AppError } from "../../shared/domain/errors.ts";
import { runCall } from "../call.ts";
import { wireDeps, wireMetrics } from "../wire.ts";
import { sweepDue } from "./sweep.ts";
import type { SweepReport } from "./sweep-report.ts";

const deps = wireDeps("sweep", process.env);
const tellMetrics = wireMetrics(deps, process.env);
const reserveMs = 10_000;

/** The sweep as a scheduled Lambda function; a failure is thrown, so that the platform counts it. */
export function handler(_event: ScheduledEvent, context: Context): Promise<SweepReport> {
  return runCall(context, () => sweep(context));
}

async function sweep(context: Context): Promise<SweepReport> {
  const report = await sweepDue(deps, context.getRemainingTimeInMillis() - reserveMs);
  if (Object.values(report).some((count) => count > 0)) deps.log.info(report, "swept");
  const { folded, rescued, timedOut, dispatched, workersLost } = report;
  tellMetrics({
    SweepFolded: folded,
    SweepRescued: rescued,
    SweepTimedOut: timedOut,
    SweepDispatched: dispatched,
    SweepWorkersLost: workersLost,
  });
  if (report.failed > 0)
    throw new AppError("internal", `the sweep could not finish ${report.failed} things it found due`);
  return report;
}
