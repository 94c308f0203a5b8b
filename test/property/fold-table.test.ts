import fc from "fast-check";
import { afterAll, beforeAll, describe, it } from "vitest";
import { type EmbeddedCloud, startEmbeddedCloud } from "../support/control-plane.ts";
import { programArbitrary, runProgram } from "../support/job-program.ts";
import { asyncPropertyRun } from "../support/property-run.ts";

/** More with `SLUICE_RUNS`. */
const numRuns = Number(process.env.SLUICE_RUNS ?? 15);

let cloud: EmbeddedCloud;
beforeAll(async () => {
  cloud = await startEmbeddedCloud();
}, 60_000);
afterAll(() => cloud.stop());

describe("the control plane on a real table", () => {
  it("comes to rest with every record in agreement, however its processes interleave, die, and miss what they were told", {
    timeout: 3_600_000,
  }, async () => {
    await asyncPropertyRun(
      fc.asyncProperty(programArbitrary, (program) => runProgram(cloud, program)),
      { numRuns },
    );
  });
});
