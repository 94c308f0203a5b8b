import { defineConfig } from "vitest/config";

/** Test kinds run as projects: units in parallel, everything that starts processes one file at a time (two cores). */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["{shared,events,functions,workers,cli,local}/**/*.test.ts", "test/property/**/*.test.ts"],
          // A machine that is busy with other things makes a test slow, not wrong.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/{contract,integration,fault,rules}/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "stacks",
          include: ["test/stacks/**/*.test.ts"],
          // Evaluates the plans once for all of its files.
          globalSetup: "test/stacks/support/evaluate-plans.ts",
          testTimeout: 30_000,
        },
      },
    ],
  },
});
