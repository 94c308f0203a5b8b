import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findImage } from "../support/chaos/image.ts";
import { type ChaosReport, runChaos } from "../support/chaos/run-chaos.ts";

/** To repeat a run, give the seed it printed. */
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-chaos-"));
});
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));

describe("jobs on a stack whose processes are killed at random moments", () => {
  it("end with every task run to its end once, and leave nothing behind", { timeout: 400_000 }, async (context) => {
    const found = await findImage();
    // It is worth running without containers too; where they should be there, their absence is a failure.
    if ("problem" in found && process.env.CI) throw new Error(`this test needs Docker: ${found.problem}`);
    if ("problem" in found) process.stderr.write(`WITHOUT CONTAINERS (${found.problem}): ${context.task.name}\n`);
    const said: string[] = [`seed ${seed}`];
    const report: ChaosReport = { event: (text) => said.push(text), progress: () => undefined };
    const verdict = await runChaos({
      seed,
      kills: 12,
      pauses: 1,
      tasks: 40,
      workers: 2,
      slots: 3,
      longestGapMs: 2_000,
      longestMs: 120_000,
      settleMs: 180_000,
      dataDir: folder,
      image: "image" in found ? found.image : undefined,
      signal: context.signal,
      report,
    });
    const { findings, stories } = verdict;
    expect(findings, [...said, ...stories].join("\n")).toEqual([]);
    expect(verdict).toMatchObject({ kills: 12, pauses: 1 });
    expect(verdict.tasks).toBeGreaterThanOrEqual(40);
  });
});
