import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import makeMatrix from "../../examples/matrix.ts";
import { parseCodeJob } from "./code-job.ts";
import type { JobDefinition, JobInputs } from "./define-job.ts";
import { parseJobFile } from "./parse.ts";
import { toPlainValue } from "./plain-value.ts";
import { listImageBuilds } from "./resolve.ts";
import type { JobDocument } from "./schema.ts";

const folder = fileURLToPath(new URL("../../examples/", import.meta.url));

function parseExample(fileName: string): JobDocument {
  const parsed = parseJobFile(readFileSync(join(folder, fileName), "utf8"), { fileName });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ line, message }) => `${line}: ${message}`).join("\n"));
  return parsed.job;
}

let output = "";
beforeEach(() => {
  output = mkdtempSync(join(tmpdir(), "sluice-example-"));
});
afterEach(() => rmSync(output, { recursive: true, force: true }));

/** Runs the step's script as a worker would, for one task; gives its exit code. */
function runStep(job: JobDocument, stepIndex: number, taskName: string, attempt = 1): number | null {
  const task = job.tasks.find(({ name }) => name === taskName);
  const script = job.steps[stepIndex]?.run ?? "exit 99";
  const env = {
    PATH: "/usr/bin:/bin",
    SLUICE_TASK: taskName,
    SLUICE_ATTEMPT: String(attempt),
    SLUICE_OUTPUT: output,
    ...task?.env,
  };
  return spawnSync("sh", ["-c", script], { env, timeout: 30_000 }).status;
}

describe("examples", () => {
  it("are all valid and all listed in the README", () => {
    const files = readdirSync(folder).filter((name) => /\.(yaml|ts)$/.test(name));
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    expect(files.sort()).toEqual([
      "build.yaml",
      "hello-host.yaml",
      "hello.yaml",
      "matrix.ts",
      "mixed.yaml",
      "pipeline.yaml",
      "secrets.yaml",
      "services.yaml",
    ]);
    for (const file of files) {
      if (file.endsWith(".yaml")) expect(`${parseExample(file).name}.yaml`).toBe(file);
      expect(readme).toContain(`(${file})`);
    }
  });

  it("matrix.ts makes as many tasks as it is told to, each with its share of the files", async () => {
    const make = makeMatrix as Extract<JobDefinition, (inputs: JobInputs) => unknown>;
    const shards = await make({ env: {}, args: [], params: { shards: "2" } });
    expect(shards).toMatchObject({ name: "matrix", tasks: [{ name: "shard-1" }, { name: "shard-2" }] });
    expect(parseCodeJob("", "matrix.ts", { ok: true, ...toPlainValue(shards) })).toMatchObject({ ok: true });
    const many = async () => make({ env: {}, args: [], params: { shards: "many" } });
    await expect(many()).rejects.toThrow("not 'many'");
  });

  it("hello-host.yaml does what hello.yaml does", () => {
    const [inContainers, onHost] = [parseExample("hello.yaml"), parseExample("hello-host.yaml")];
    expect(inContainers.tasks).toEqual(onHost.tasks);
    expect(inContainers.steps).toEqual(onHost.steps.map((step) => ({ ...step, image: "busybox:stable" })));
    expect(onHost.tasks).toHaveLength(3);
  });

  it("hello-host.yaml leaves a greeting in the output folder", () => {
    const job = parseExample("hello-host.yaml");
    expect([runStep(job, 0, "french"), runStep(job, 1, "french")]).toEqual([0, 0]);
    expect(readFileSync(join(output, "greeting.txt"), "utf8")).toBe("Bonjour, french!\n");
  });

  it("mixed.yaml exits with 0, 42, 43 and 7", () => {
    const job = parseExample("mixed.yaml");
    expect(job.tasks.map(({ name }) => runStep(job, 0, name))).toEqual([0, 42, 43, 7]);
  });

  it("pipeline.yaml has tasks that wait for others, one of which succeeds at its second attempt", () => {
    const job = parseExample("pipeline.yaml");
    expect(job.tasks.map(({ name, needs = [] }) => `${name}: ${needs.join(" ")}`)).toEqual([
      "build: ",
      "lint: build",
      "unit: build",
      "publish: lint unit",
    ]);
    expect(job.retry).toEqual({ attempts: 2, on: ["exit_code", "timed_out"] });
    expect(job.tasks.map(({ name }) => runStep(job, 0, name))).toEqual([0, 0, 1, 0]);
    expect(runStep(job, 0, "unit", 2)).toBe(0);
  });

  it("build.yaml builds from files that are there", () => {
    const builds = listImageBuilds(parseExample("build.yaml"));
    expect(builds).toEqual([
      { stepIndex: 0, stepName: "report", dockerfile: "build/Dockerfile", context: "build", options: [] },
    ]);
    const dockerfile = readFileSync(join(folder, "build/Dockerfile"), "utf8");
    const copied = /^COPY (\S+)/m.exec(dockerfile)?.[1] ?? "";
    expect(readFileSync(join(folder, "build", copied), "utf8")).toContain("SLUICE_OUTPUT");
  });
});
