import type { TestProject } from "vitest/node";
import { evaluatePlan } from "../../../scripts/plan/evaluate.ts";
import { installPlatform } from "../../../scripts/plan/install.ts";
import type { Plan } from "../../../scripts/plan/plan-file.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The plan of a stage that keeps its data, and of somebody's own, with tracing. */
    plans: { production: Plan; personal: Plan };
  }
}

/** Evaluates the plans that all files of this folder look at. One after the other: they share SST's folder. */
export async function setup(project: TestProject): Promise<void> {
  await installPlatform((line) => process.stdout.write(`${line}\n`));
  const production = await evaluatePlan("production");
  const personal = await evaluatePlan("ada", { SLUICE_TRACING: "1" });
  project.provide("plans", { production, personal });
}
