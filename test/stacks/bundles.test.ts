import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../scripts/plan/install.ts";
import { startCli } from "../support/cli-child.ts";
import { callApi, step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";
import { readPlans } from "./support/plans.ts";

const { production } = await readPlans();
const bundles = Object.entries(production.bundles);

/**
 * Bytes of a bundle as it is loaded, at most. The API's holds its OpenAPI generator, and with it error messages of zod
 * in fifty languages (267 KB), which the bundler cannot leave out.
 */
const mostBytes: Record<string, number> = { Api: 1_650_000 };
const mostBytesElsewhere = 1_100_000;
/** Bytes of a bundle as it is uploaded, at most: what a cold start fetches. */
const mostBytesPacked = 500_000;

/** What belongs to a laptop, to tests or to workers, and has no business in a function. */
const foreign =
  /(^|\/)(local|cli|console|workers|test|bench|scripts|stacks)\/[^/]+|node_modules\/(dockerode|ssh2|commander|@dynoxide|vitest|liquidjs|tar-stream|log-update)\//;

describe("the bundles of the functions", () => {
  it("are there, one for each function", () => {
    expect(bundles.map(([name]) => name).sort()).toEqual(["Api", "Chores", "DeadLetters", "Fold", "Sweep"]);
  });

  it.each(bundles)("are small: %s", (name, folder) => {
    const code = readFileSync(join(folder, "bundle.mjs"));
    expect(code.byteLength).toBeLessThan(mostBytes[name] ?? mostBytesElsewhere);
    expect(gzipSync(code).byteLength).toBeLessThan(mostBytesPacked);
  });

  it.each(bundles)("hold nothing that is not for functions: %s", (_, folder) => {
    const map = JSON.parse(readFileSync(join(folder, "bundle.mjs.map"), "utf8")) as { sources: string[] };
    const own = map.sources.map((source) => source.replace(/^.*?(?=(node_modules|functions|shared|events)\/)/, ""));
    expect(own.filter((source) => foreign.test(source))).toEqual([]);
    expect(own.some((source) => source.startsWith("functions/"))).toBe(true);
  });

  it.each(bundles)("carry their links encrypted: %s", (_, folder) => {
    expect(statSync(join(folder, "resource.enc")).size).toBeGreaterThan(0);
  });
});

describe("the bundles on the local stack", () => {
  let stack: RunningStack;
  beforeAll(async () => {
    stack = await startLocalStack({ slots: 2, env: { SLUICE_FUNCTIONS_BUNDLE: join(root, ".sst", "artifacts") } });
  }, 90_000);
  afterAll(async () => {
    await stack.stop();
    await stack.remove();
  }, 60_000);

  const call = async (path: string, headers: Record<string, string> = {}) =>
    fetch(`${stack.url}${path}`, {
      headers: { authorization: `Bearer ${stack.token}`, ...headers },
      signal: AbortSignal.timeout(60_000),
    });

  it("run a job from its submit to its last event, through API, fold and worker", async () => {
    const job = await submit(stack, {
      name: "bundled",
      steps: [step({ command: ["echo", "from a bundle"] })],
      tasks: [{ name: "a" }, { name: "b", needs: ["a"] }],
    });
    const events = await (await call(`/v1/jobs/${job}/events`, { accept: "text/event-stream" })).text();
    expect(events).toContain("event: end");
    expect(await (await call(`/v1/jobs/${job}`)).json()).toMatchObject({
      status: "completed",
      counts: { completed: 2 },
    });
    expect(await (await call(`/v1/jobs/${job}/tasks/a/logs`, { accept: "text/plain" })).text()).toContain(
      "from a bundle",
    );
  }, 90_000);

  it("are found well by sluice doctor", async () => {
    const child = startCli({ url: stack.url, token: stack.token }, ["doctor", "--json"]);
    expect(await child.end()).toBe(0);
    const { healthy, findings } = JSON.parse(child.stdout) as { healthy: boolean; findings: { check: string }[] };
    expect(healthy).toBe(true);
    expect(findings).toHaveLength(7);
  }, 60_000);

  it("expand and cancel a large job, through the chores", async () => {
    const job = await submit(stack, {
      name: "large",
      steps: [step({ command: ["sleep", "600"] })],
      tasks: Array.from({ length: 250 }, (_, index) => ({ name: `t${index}` })),
    });
    await callApi(stack, `/v1/jobs/${job}/cancel`, {});
    expect(await waitForJob(stack, job)).toMatchObject({ status: "aborted", counts: { aborted: 250 } });
  }, 90_000);
});
