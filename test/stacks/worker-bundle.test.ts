import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Finding } from "../../shared/domain/finding.ts";
import { timing } from "../../shared/domain/timing.ts";
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

describe("what makes a worker of a machine", () => {
  const make = (...args: string[]) => run(process.execPath, [script("worker-user-data.ts"), ...args]);
  const all = ["--url", "https://api.example", "--token", "it's$(secret)", "--bundle", "https://b?X=1&Y=2"];
  const rest = ["--sha256", "abc", "--region", "us-east-1"];

  it("is one script that bash takes, with every value quoted, and ends the machine some time", async () => {
    const { stdout } = await make(...all, ...rest);
    await run("bash", ["-n", "-c", stdout]);
    expect(stdout).toContain(String.raw`'it'\''s$(secret)'`);
    expect(stdout).toContain("'https://b?X=1&Y=2'");
    expect(stdout).toContain("shutdown -h +720");
  });

  it("brings the very files that are run by hand", async () => {
    const { stdout } = await make(...all, ...rest);
    const files = [...stdout.matchAll(/gunzip > "\$dir\/(.*)"\n([\s\S]*?)\nSLUICE_END/g)].map(
      ([, name, packed = ""]) => {
        return [name, gunzipSync(Buffer.from(packed, "base64")).toString()] as const;
      },
    );
    const [install, unit] = await Promise.all([
      readFile(script("install-worker.sh"), "utf8"),
      readFile(script("worker/sluice-worker.service"), "utf8"),
    ]);
    expect(Object.fromEntries(files)).toEqual({ "install-worker.sh": install, "sluice-worker.service": unit });
  });

  it("names the option that is missing", async () => {
    await expect(make(...all.slice(2))).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("--url") });
    await expect(make(...all, "--sha256", "abc")).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--region"),
    });
  });

  it("is refused with nothing done where it could not end well", async () => {
    const install = (...args: string[]) => run("bash", [script("install-worker.sh"), "install", ...args]);
    const cases: [args: string[], told: string][] = [
      [[], "--bundle is missing"],
      [["--bundle", "https://example.invalid/worker.mjs"], "--sha256 is missing"],
      [["--bundle", "/none"], "there is no file /none"],
      [["--bundle", script("install-worker.sh"), "--set", "A B=c"], "A B is not of the form KEY=VALUE"],
      [["--frob", "1"], "--frob is not known"],
    ];
    for (const [args, told] of cases) {
      const stderr = expect.stringMatching(new RegExp(`${told}|run it as root`));
      await expect(install(...args)).rejects.toMatchObject({ code: 1, stderr });
    }
  });
});

describe("the service of a worker", () => {
  const read = async (key: string) => {
    const unit = await readFile(script("worker/sluice-worker.service"), "utf8");
    return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value]) => value ?? "");
  };

  it("gives a drain its time, and leaves the steps to the worker", async () => {
    const [seconds] = await read("TimeoutStopSec");
    expect(Number(seconds) * 1000).toBeGreaterThanOrEqual(timing.visibilityTimeoutSeconds * 1000 + 5_000);
    expect(await read("Environment")).toContain(`SLUICE_STOP_TIMEOUT_MS=${Number(seconds) * 1000}`);
    expect(await read("KillMode")).toEqual(["mixed"]);
  });

  it("is not started again after a drain", async () => {
    expect(await read("Restart")).toEqual(["on-failure"]);
    expect(await read("SuccessExitStatus")).toEqual(["143"]);
  });

  it("is one that systemd takes, and calls safe", async (context) => {
    const folder = await mkdtemp(join(tmpdir(), "sluice-unit-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const unit = await readFile(script("worker/sluice-worker.service"), "utf8");
    const file = join(folder, "sluice-worker.service");
    // The program is not installed here.
    await writeFile(file, unit.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true"));
    const analyze = (...args: string[]) => run("systemd-analyze", args).catch((error: NodeJS.ErrnoException) => error);
    const verified = await analyze("verify", "--man=no", file);
    if (verified instanceof Error && verified.code === "ENOENT") {
      process.stderr.write("SKIPPED without systemd-analyze: the service of a worker is one that systemd takes\n");
      return context.skip();
    }
    expect(verified).toMatchObject({ stderr: "" });
    // Of 100, which is a service without any sandbox; below 30 systemd calls it OK.
    expect(await analyze("security", "--offline=true", "--threshold=25", file)).not.toBeInstanceOf(Error);
  });
});
