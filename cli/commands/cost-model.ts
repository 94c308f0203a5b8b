import { assumptions, modelCosts, renderCosts } from "../../shared/domain/cost/cost-model.ts";
import { measuredRequests } from "../../shared/domain/cost/measured.ts";
import { prices } from "../../shared/domain/cost/prices.ts";
import type { Context } from "../context.ts";
import { exitCodes } from "../errors.ts";

/** What is to be priced beside the parts. */
export interface CostQuestion {
  /** Tasks of a month. */
  tasks: number;
  /** Hours that workers are up in a month, added up. */
  workerHours: number;
  /** Hours that people watch jobs in a month, added up. */
  watchedHours: number;
}

/** `sluice cost-model`: what Sluice costs on AWS, from counted requests and list prices. Asks nobody. */
export function showCosts(context: Context, { tasks, workerHours, watchedHours }: CostQuestion): number {
  const model = modelCosts(measuredRequests);
  const { idleMonth, thousandTasks, workerHour, watchedHour } = model;
  const month =
    idleMonth.usd + (tasks / 1000) * thousandTasks.usd + workerHours * workerHour.usd + watchedHours * watchedHour.usd;
  if (context.json) {
    context.writeJson({
      month: { tasks, workerHours, watchedHours, usd: month },
      model,
      measuredRequests,
      prices,
      assumptions,
    });
    return exitCodes.completed;
  }
  context.out.write(`${renderCosts(model)}\n\n`);
  context.out.write(
    `A month of ${tasks} tasks, ${workerHours} worker-hours and ${watchedHours} watched hours: ${month.toFixed(2)} USD\n`,
  );
  context.note(
    `Requests counted on ${measuredRequests.measuredOn}; list prices of ${prices.region}, ${prices.asOf}, without free tiers: docs/cost.md`,
  );
  return exitCodes.completed;
}
