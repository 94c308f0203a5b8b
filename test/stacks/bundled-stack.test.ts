import { join } from "node:path";
import { root } from "../../scripts/plan/install.ts";
import { readPlans } from "./support/plans.ts";

/** What runs on the local stack from sources is run on it once more from the bundles that a deployment would upload. */
process.env.SLUICE_FUNCTIONS_BUNDLE = join(root, ".sst", "artifacts");

// The bundles are made with them.
await readPlans();

await import("../integration/stack.test.ts");
await import("../integration/secrets.test.ts");
