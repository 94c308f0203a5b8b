import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Figure, summarize } from "./support/statistics.ts";

const artifacts = fileURLToPath(new URL("../.sst/artifacts", import.meta.url));
const starter = fileURLToPath(new URL("./support/start-bundle.mjs", import.meta.url));
const run = promisify(execFile);

/** What stands for the resources that SST links to a function; none of them is asked at a start. */
const links = {
  SST_RESOURCE_App: JSON.stringify({ name: "sluice", stage: "bench" }),
  SST_RESOURCE_Table: JSON.stringify({ name: "t" }),
  SST_RESOURCE_Bucket: JSON.stringify({ name: "b" }),
  SST_RESOURCE_Secrets: JSON.stringify({ kind: "ssm", path: "/sluice/bench/secrets" }),
  SST_RESOURCE_Pools: JSON.stringify({ default: { queueUrl: "http://127.0.0.1:1/default" } }),
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "bench",
  AWS_SECRET_ACCESS_KEY: "bench",
  AWS_EC2_METADATA_DISABLED: "true",
};

/**
 * Times what a cold start does in our code: loading the bundle that SST made, and answering the first request. Lambda's
 * own part (fetching the bundle, starting Node) is not in it, and its processor is another.
 */
export async function measureColdStarts(rounds: number): Promise<Figure[]> {
  if (!existsSync(join(artifacts, "Api-src", "bundle.mjs"))) {
    return [{ name: "cold start", value: "no bundles: run npm run plan" }];
  }
  const figures: Figure[] = [];
  for (const name of ["Api", "Fold", "Chores", "DeadLetters", "Sweep"]) {
    const loads: number[] = [];
    const firsts: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const bundle = join(artifacts, `${name}-src`, "bundle.mjs");
      const { stdout } = await run(process.execPath, [starter, bundle, name], {
        env: { PATH: process.env.PATH, ...links },
      });
      const { loadMs, firstMs } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as {
        loadMs: number;
        firstMs?: number;
      };
      loads.push(loadMs);
      if (firstMs !== undefined) firsts.push(firstMs);
    }
    const first = firsts.length > 0 ? `, first request ${summarize(firsts).median.toFixed(0)} ms` : "";
    figures.push({ name: `cold start, ${name}`, value: `load ${summarize(loads).median.toFixed(0)} ms${first}` });
  }
  return figures;
}
