import { describe, expect, it } from "vitest";
import { createLogger } from "../shared/log.ts";
import { describeCall, runCall } from "./call.ts";
import { createMetrics } from "./metrics.ts";

function recordLog() {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { lines, log: createLogger("test", { destination, mixin: describeCall }) };
}

describe("metrics", () => {
  it("are log lines in CloudWatch's embedded form, each value beside its unit", () => {
    const { lines, log } = recordLog();
    createMetrics(log, { stage: "prod", enabled: true, now: () => 1_000 })({ FoldLagMs: 12, FoldedRecords: 3 });
    expect(lines).toMatchObject([
      {
        _aws: {
          Timestamp: 1_000,
          CloudWatchMetrics: [
            {
              Namespace: "Sluice",
              Dimensions: [["stage"]],
              Metrics: [
                { Name: "FoldLagMs", Unit: "Milliseconds" },
                { Name: "FoldedRecords", Unit: "Count" },
              ],
            },
          ],
        },
        stage: "prod",
        FoldLagMs: 12,
        FoldedRecords: 3,
      },
    ]);
  });

  it("leave out what is zero, and write nothing where there is nothing else, or nobody to read it", () => {
    const { lines, log } = recordLog();
    createMetrics(log, { stage: "s", enabled: true, now: Date.now })({ SweepRescued: 0 });
    createMetrics(log, { stage: "s", enabled: false, now: Date.now })({ SweepRescued: 1 });
    expect(lines).toEqual([]);
  });
});

describe("a call of a function", () => {
  it("stands in every line logged meanwhile, also across waits, and in none after it", async () => {
    const { lines, log } = recordLog();
    await Promise.all(
      ["r1", "r2"].map((awsRequestId) =>
        runCall({ awsRequestId }, async () => {
          await Promise.resolve();
          log.info({ asked: awsRequestId }, "within");
        }),
      ),
    );
    log.info("after");
    for (const { asked, awsRequestId } of lines) expect(awsRequestId).toBe(asked);
  });
});
