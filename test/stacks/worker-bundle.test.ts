import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Finding } from "../../shared/domain/finding.ts";
import { needDocker } from "../support/docker.ts";
import { step, submit, waitForJob } from "../support/jobs.ts";
import { type RunningStack, startLocalStack } from "../support/local-stack.ts";

const run = promisify(execFile);
const script = (name: string) => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));

describe("the worker's bundle", () => {
  let folder: string;
  let bundle: string;
  let stack: RunningStack;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-worker-bundle-"));
    bundle = join(folder, "worker.mjs");
    await run(process.execPath, [script("build-worker.ts"), bundle]);
    stack = await startLocalStack({ workers: 0 });
  }, 120_000);
  afterAll(async () => {
    await stack.stop();
    await stack.remove();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  /** A configuration for the stack, in a file. */
  async function writeConfig(): Promise<string> {
    const state = JSON.parse(await readFile(join(stack.dataDir, "state.json"), "utf8")) as { workerToken: string };
    const { dynamodb, sqs, s3, region, accessKeyId, secretAccessKey } = stack.aws;
    const file = join(folder, "worker.env");
    const variables = {
      SLUICE_URL: stack.url,
      SLUICE_TOKEN: state.workerToken,
      SLUICE_WORK_DIR: join(folder, "work"),
      SLUICE_EXECUTORS: "docker,process",
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb,
      AWS_ENDPOINT_URL_SQS: sqs,
      AWS_ENDPOINT_URL_S3: s3,
    };
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`);
    await writeFile(file, lines.join(""), { mode: 0o600 });
    return file;
  }

  it("is one small file that runs containers and host steps with nothing beside it", async (context) => {
    if (!(await needDocker(context))) return;
    expect((await stat(bundle)).size).toBeLessThan(4_000_000);
    const env = { PATH: process.env.PATH, SLUICE_CONFIG: await writeConfig() };
    const worker = spawn(process.execPath, [bundle], { cwd: folder, stdio: "ignore", env });
    const ended = once(worker, "exit");
    try {
      const job = await submit(stack, {
        name: "bundled",
        steps: [
          step({ run: "echo out > /sluice/output/file" }, "busybox:stable"),
          step({ run: 'test "$(cat "$SLUICE_OUTPUT/file")" = out' }),
        ],
        tasks: [{ name: "a" }],
        artifacts: { paths: ["**"] },
      });
      expect(await waitForJob(stack, job)).toMatchObject({ status: "completed", counts: { completed: 1 } });
    } finally {
      worker.kill("SIGTERM");
    }
    expect(await ended).toEqual([0, null]);
  }, 90_000);

  it("tells its version and build, and what is missing for it to run", async (context) => {
    if (!(await needDocker(context))) return;
    const ask = async (env: Record<string, string>, ...args: string[]) => {
      const child = run(process.execPath, [bundle, ...args], { cwd: folder, env: { PATH: "/bin:/usr/bin", ...env } });
      return child.catch((error: { code: number; stdout: string; stderr: string }) => error);
    };
    expect(await ask({}, "--version")).toMatchObject({
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+ \([0-9a-f]{12}/),
    });
    const examine = async (more: Record<string, string>) => {
      const { stdout } = await ask({ SLUICE_CONFIG: await writeConfig(), ...more }, "doctor", "--json");
      const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean; findings: Finding[] };
      return { healthy, failed: findings.filter(({ status }) => status === "failed").map(({ check }) => check) };
    };
    expect(await examine({})).toEqual({ healthy: true, failed: [] });
    const wrong = { SLUICE_TOKEN: "wrong", DOCKER_HOST: "unix:///no.sock", SLUICE_WORK_DIR: "/dev/null/none" };
    expect(await examine(wrong)).toEqual({ healthy: false, failed: ["token", "Docker", "work folder"] });
  });
});

describe("the script that makes a worker of a machine", () => {
  const make = (...args: string[]) => run(process.execPath, [script("worker-user-data.ts"), ...args]);
  const all = [
    "--url",
    "https://api.example",
    "--token",
    "it's$(secret)",
    "--bundle",
    "https://b?X=1&Y=2",
    "--region",
    "us-east-1",
  ];

  it("is one that bash takes, with every value quoted, and ends the machine some time", async () => {
    const { stdout } = await make(...all);
    await run("bash", ["-n", "-c", stdout]);
    expect(stdout).toContain(String.raw`'it'\''s$(secret)'`);
    expect(stdout).toContain("'https://b?X=1&Y=2'");
    expect(stdout).toContain("shutdown -h +720");
  });

  it("names the option that is missing", async () => {
    await expect(make(...all.slice(2))).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("--url") });
  });
});
