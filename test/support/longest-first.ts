import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take more than fifteen seconds, the longest first (durations: test-output/vitest.json). */
const longFiles = [
  "test/integration/scale.test.ts",
  "test/fault/aws-faults.test.ts",
  "test/fault/worker-loss.test.ts",
  "test/fault/messages.test.ts",
  "test/console/console.test.ts",
  "test/integration/worker-process.test.ts",
  "test/fault/chaos.test.ts",
  "test/fault/docker-restart.test.ts",
  "test/integration/stack.test.ts",
  "test/fault/kill-process.test.ts",
  "test/integration/bench.test.ts",
  "test/stacks/bundled-stack.test.ts",
  "test/fault/kill-stack.test.ts",
  "test/console/console.test.ts",
  "test/contract/executor-docker.test.ts",
  "test/fault/machine.test.ts",
  "test/integration/bad-start.test.ts",
  "test/fault/metrics.test.ts",
  "test/fault/worker-states.test.ts",
  "test/contract/sqs.test.ts",
  "test/integration/control-plane-retry.test.ts",
  "test/fault/drain.test.ts",
  "test/integration/services.test.ts",
  "test/contract/container-isolation.test.ts",
  "test/contract/dynamodb.test.ts",
  "test/fault/docker-health.test.ts",
  "test/integration/control-plane-large.test.ts",
  "test/integration/secrets.test.ts",
  "test/integration/cli-run.test.ts",
  "test/integration/cli.test.ts",
  "test/contract/s3-embedded.test.ts",
  "test/fault/chaos-command.test.ts",
  "test/integration/demo.test.ts",
  "test/integration/worker-messages.test.ts",
  "test/integration/control-plane-retry-races.test.ts",
  "test/integration/control-plane-logs.test.ts",
  "test/integration/worker-endings.test.ts",
  "test/fault/cancel.test.ts",
  "test/integration/cli-artifact.test.ts",
  "test/integration/control-plane-graph.test.ts",
  "test/rules/imports.test.ts",
  "test/contract/dynamodb-fuzz.test.ts",
  "test/integration/control-plane-fleet.test.ts",
  "test/integration/control-plane-images.test.ts",
  "test/contract/image-pull.test.ts",
  "test/integration/control-plane-submit.test.ts",
  "test/contract/executor.test.ts",
  "test/property/jobfile.test.ts",
  "test/integration/cli-logs.test.ts",
];

/** Kinds of tests in the order in which their other files follow. */
const projects = ["system", "stacks", "unit"];

/**
 * Starts the longest files first, so that no worker is left with one when all others are done; the short ones of each
 * kind follow, the larger first.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const { root } = this.ctx.config;
    const gone = longFiles.filter((file) => !existsSync(join(root, file)));
    if (gone.length > 0) throw new Error(`test/support/longest-first.ts names what is not there: ${gone.join(", ")}`);
    const rank = (spec: TestSpecification) => {
      const place = longFiles.indexOf(relative(root, spec.moduleId));
      return place >= 0 ? place : longFiles.length + projects.indexOf(spec.project.name);
    };
    // Sorting keeps the order of files of one rank.
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
