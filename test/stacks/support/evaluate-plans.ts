import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { evaluatePlan } from "../../../scripts/plan/evaluate.ts";
import { installPlatform } from "../../../scripts/plan/install.ts";
import { type EvaluatedPlans, plannedRepositories } from "./plans.ts";

/**
 * Begins to evaluate the plans that files of this folder look at. Those wait for them (`readPlans`); the other tests,
 * which wait until this returns, need not.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-plans-"));
  const file = join(folder, "plans.json");
  project.provide("plansFile", file);
  const written = evaluatePlans().then(async (plans) => {
    await writeFile(`${file}.new`, JSON.stringify(plans));
    // Whoever finds the file finds all of it.
    await rename(`${file}.new`, file);
  });
  return async () => {
    await written;
    await rm(folder, { recursive: true });
  };
}

async function evaluatePlans(): Promise<EvaluatedPlans> {
  try {
    await installPlatform((line) => process.stdout.write(`${line}\n`));
    // One after the other: they share SST's folder.
    const production = await evaluatePlan("production", { SLUICE_ECR_REPOSITORIES: plannedRepositories.join() });
    const personal = await evaluatePlan("ada", { SLUICE_TRACING: "1" });
    return { production, personal };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}
