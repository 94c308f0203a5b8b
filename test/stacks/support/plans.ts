import { readFile } from "node:fs/promises";
import { inject } from "vitest";
import type { Plan } from "../../../scripts/plan/plan-file.ts";
import { eventually } from "../../support/eventually.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the plans are written once they are evaluated. */
    plansFile: string;
  }
}

/** What the stage that keeps its data lets workers pull from; somebody's own names none. */
export const plannedRepositories: readonly string[] = ["team/*", "tools/builder"];

/** The plan of a stage that keeps its data, and of somebody's own, with tracing. */
export interface Plans {
  production: Plan;
  personal: Plan;
}

/** What the evaluation left: the plans, or why there are none. */
export type EvaluatedPlans = Plans | { failed: string };

/** The installation of SST's platform included. */
const evaluationDeadlineMs = 300_000;

/** Waits for the plans that are evaluated once for all files of this folder. */
export async function readPlans(): Promise<Plans> {
  const text = await eventually(() => readFile(inject("plansFile"), "utf8"), "the plans", evaluationDeadlineMs);
  const plans = JSON.parse(text) as EvaluatedPlans;
  if ("failed" in plans) throw new Error(plans.failed);
  return plans;
}
