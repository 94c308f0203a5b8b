import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

/**
 * All kinds of tests share one set of workers, the longest files first. What starts processes mostly waits for them,
 * for leases that run out and for messages that show again: four files at once keep two cores busy.
 */
const maxWorkers = 4;

// The suite starts hundreds of processes that load the same code: what one has compiled the others need not.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL("node_modules/.cache/compile", import.meta.url));

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,events,functions,workers,cli,local,console}/**/*.test.ts", "test/property/**/*.test.ts"],
          maxWorkers,
          // They leave nothing behind and change no module: one process loads what they test once for all of its files,
          // in half the time. What the system's tests start is better kept apart.
          isolate: false,
          // A machine that is busy with other things makes a test slow, not wrong.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{contract,integration,fault,rules,console}/**/*.test.ts"],
          maxWorkers,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "stacks",
          include: ["test/stacks/**/*.test.ts"],
          // Begins to evaluate the plans, once for all of its files.
          globalSetup: "test/stacks/support/evaluate-plans.ts",
          maxWorkers,
          // What the bundles are tested with are tests of the system.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
