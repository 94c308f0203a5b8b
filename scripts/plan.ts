/**
 * `npm run plan [-- --stage NAME] [--out FILE]`: what would be deployed, without an account: installs SST's platform
 * where it is missing, checks the types of the stacks, evaluates the program and holds every rule against it. Nothing
 * is deployed.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { evaluatePlan } from "./plan/evaluate.ts";
import { installPlatform, root } from "./plan/install.ts";
import type { Plan } from "./plan/plan-file.ts";
import { findViolations } from "./plan/rules.ts";

const { values } = parseArgs({
  options: { stage: { type: "string", default: "production" }, out: { type: "string" } },
});
const { stage } = values;
const print = (line: string) => process.stdout.write(`${line}\n`);

await installPlatform(print);
print("checking the types of the stacks …");
const check = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", "tsconfig.infra.json"], {
  cwd: root,
  stdio: "inherit",
});
if (check.status !== 0) process.exit(1);
print(`evaluating the stage ${stage} …`);
const plan = await evaluatePlan(stage);
const out = resolve(values.out ?? join(root, "test-output", `plan-${stage}.json`));
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, `${JSON.stringify(plan, undefined, 2)}\n`);
printPlan(plan);
const violations = findViolations(plan);
for (const { rule, resource, detail } of violations) print(`✗ ${rule}: ${resource}: ${detail}`);
print(`written to ${out}; ${violations.length === 0 ? "every rule holds" : `${violations.length} violations`}`);
print("This was a plan: nothing was deployed, and no account was asked.");
process.exitCode = violations.length === 0 ? 0 : 1;

function printPlan({ resources, outputs }: Plan): void {
  const counts = new Map<string, number>();
  for (const { type } of resources) {
    if (type.startsWith("aws:"))
      counts.set(type.slice("aws:".length), (counts.get(type.slice("aws:".length)) ?? 0) + 1);
  }
  for (const [type, count] of [...counts].sort()) print(`${String(count).padStart(4)}  ${type}`);
  print(
    `outputs: ${Object.keys(outputs)
      .filter((name) => !name.startsWith("_"))
      .join(", ")}`,
  );
}
