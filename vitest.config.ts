import { defineConfig } from "vitest/config";

/**
 * Test kinds run as projects, one after the other. What starts processes mostly waits for them, for leases that run
 * out and for messages that show again: three files at once keep two cores busy.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,events,functions,workers,cli,local}/**/*.test.ts", "test/property/**/*.test.ts"],
          // A machine that is busy with other things makes a test slow, not wrong.
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{contract,integration,fault,rules}/**/*.test.ts"],
          maxWorkers: 3,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "stacks",
          include: ["test/stacks/**/*.test.ts"],
          // Evaluates the plans once for all of its files.
          globalSetup: "test/stacks/support/evaluate-plans.ts",
          // What the bundles are tested with are tests of the system.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
