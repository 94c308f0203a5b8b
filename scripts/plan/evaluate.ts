import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startCloudStub } from "./cloud-stub.ts";
import { quietSst, root, runSst } from "./install.ts";
import { modelRegion } from "./model-outputs.ts";
import { type Plan, planSchema } from "./plan-file.ts";

const standIn = fileURLToPath(new URL("./pulumi-stand-in.ts", import.meta.url));

/**
 * Evaluates what would be deployed as a stage: SST's own CLI bundles program and functions, a stand-in for Pulumi
 * evaluates the program and writes down every resource. Nothing is deployed, and nothing off this machine is asked.
 * Needs the installed platform. One evaluation at a time per checkout.
 */
export async function evaluatePlan(stage: string, env: NodeJS.ProcessEnv = {}): Promise<Plan> {
  const folder = mkdtempSync(join(root, ".sst", "plan-"));
  const planFile = join(folder, "plan.json");
  const stub = await startCloudStub();
  try {
    installStandIn(folder);
    await runSst(["diff", "--stage", stage], {
      ...withoutCloud(process.env),
      ...env,
      ...quietSst,
      XDG_CONFIG_HOME: folder,
      SLUICE_PLAN_FILE: planFile,
      AWS_ENDPOINT_URL: stub.url,
      AWS_REGION: modelRegion,
      AWS_ACCESS_KEY_ID: "plan",
      AWS_SECRET_ACCESS_KEY: "plan",
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    });
    const plan = planSchema.parse(JSON.parse(readFileSync(planFile, "utf8")));
    return { ...plan, bundles: findBundles(plan) };
  } finally {
    stub.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whoever runs this may have real credentials; the plan sees none of them. */
function withoutCloud(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name]) => !name.startsWith("AWS_") && !name.startsWith("SST_") && name !== "NODE_OPTIONS",
    ),
  );
}

/** SST looks for pulumi under its configuration folder. */
function installStandIn(configHome: string): void {
  const bin = join(configHome, "sst", "bin");
  mkdirSync(bin, { recursive: true });
  const file = join(bin, "pulumi");
  writeFileSync(file, `#!/bin/sh\nexec "${process.execPath}" "${standIn}" "$@"\n`);
  chmodSync(file, 0o755);
}

/** The CLI leaves each function's bundle in a folder of the function's name. */
function findBundles(plan: Plan): Record<string, string> {
  const components = plan.resources.filter(({ type }) => type === "sst:aws:Function").map(({ name }) => name);
  const bundles: Record<string, string> = {};
  for (const component of components) {
    const folder = join(root, ".sst", "artifacts", `${component}-src`);
    if (existsSync(folder)) bundles[component] = folder;
  }
  return bundles;
}
