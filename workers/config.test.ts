import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { parseConfig } from "./config.ts";

const host = { cores: 8, cwd: "/home/me" };
const minimal = { SLUICE_URL: "http://127.0.0.1:4400", SLUICE_TOKEN: "hush" };

function problemsOf(env: Record<string, string>): string[] {
  const parsed = parseConfig(env, host);
  return parsed.ok ? [] : parsed.problems;
}

describe("parseConfig", () => {
  it("fills in everything but the URL and the token", () => {
    const parsed = parseConfig(minimal, host);
    if (!parsed.ok) throw new Error(parsed.problems.join());
    expect(parsed.config).toMatchObject({
      pool: "default",
      slots: 8,
      workDir: "/var/lib/sluice/work",
      executors: ["docker"],
      docker: { kind: "socket", path: "/var/run/docker.sock" },
      provider: "local",
    });
  });

  it("tells every problem at once, each with the variable's name", () => {
    const problems = problemsOf({
      SLUICE_URL: "somewhere",
      SLUICE_SLOTS: "0",
      SLUICE_POOL: "Big Pool",
      SLUICE_EXECUTORS: "docker,magic",
      DOCKER_HOST: "ssh://host",
    });
    expect(problems.map((problem) => problem.split(" ")[0]).sort()).toEqual([
      "DOCKER_HOST",
      "SLUICE_EXECUTORS",
      "SLUICE_POOL",
      "SLUICE_SLOTS",
      "SLUICE_TOKEN",
      "SLUICE_URL",
    ]);
  });

  it("tells what is wrong with the times of a drain beside everything else", () => {
    const problems = problemsOf({ SLUICE_TOKEN: "hush", SLUICE_DRAIN_MS: "90000", SLUICE_SLOTS: "0" });
    expect(problemsOf({ ...minimal, SLUICE_IDLE_TIMEOUT: "10" })).toEqual([
      "SLUICE_IDLE_TIMEOUT is a time of a second at least, such as 90s or 10m",
    ]);
    expect(problems.map((problem) => problem.split(" ")[0]).sort()).toEqual([
      "SLUICE_DRAIN_MS",
      "SLUICE_SLOTS",
      "SLUICE_URL",
    ]);
  });

  it("refuses times that a timer does not hold, and would end at once", () => {
    const problems = problemsOf({
      ...minimal,
      SLUICE_IDLE_TIMEOUT: "30d",
      SLUICE_NOTICE_POLL_MS: "3000000000",
      SLUICE_HEALTH_PROBE_MS: "3000000000",
      SLUICE_HEALTH_DEADLINE_MS: "3000000000",
    });
    expect(problems.sort()).toEqual([
      "SLUICE_HEALTH_DEADLINE_MS is at most 60000",
      "SLUICE_HEALTH_PROBE_MS is between 300 and 3600000",
      "SLUICE_IDLE_TIMEOUT is at most 24d",
      "SLUICE_NOTICE_POLL_MS is between 1 and 60000",
    ]);
  });

  it("tells what would undo a block of the metadata service beside everything else", () => {
    const problems = problemsOf({
      SLUICE_TOKEN: "two words",
      SLUICE_PROVIDER: "ec2",
      SLUICE_CAPABILITIES: "NET_RAW",
      SLUICE_SLOTS: "0",
    });
    expect(problems.map((problem) => problem.split(" ")[0]).sort()).toEqual([
      "SLUICE_METADATA",
      "SLUICE_SLOTS",
      "SLUICE_TOKEN",
      "SLUICE_URL",
    ]);
  });

  it("resolves a relative work folder and reads the executors in any order", () => {
    const parsed = parseConfig({ ...minimal, SLUICE_WORK_DIR: "w", SLUICE_EXECUTORS: "process, docker" }, host);
    expect(parsed).toMatchObject({ ok: true, config: { workDir: "/home/me/w", executors: ["docker", "process"] } });
  });

  it("reads how much may be kept of images, and where images of AWS are signed in for", () => {
    const read = (more: Record<string, string>) => {
      const parsed = parseConfig({ ...minimal, ...more }, host);
      if (!parsed.ok) throw new Error(parsed.problems.join());
      const { imageCache, ecr } = parsed.config;
      return { gb: imageCache.maxBytes / 1e9, days: imageCache.maxAgeMs / 86_400_000, ecr };
    };
    expect(read({})).toEqual({ gb: 20, days: 7, ecr: undefined });
    expect(read({ SLUICE_IMAGE_CACHE_GB: "0", SLUICE_IMAGE_CACHE_DAYS: "30", SLUICE_PROVIDER: "ec2" })).toEqual({
      gb: 0,
      days: 30,
      ecr: { endpoint: undefined },
    });
    expect(read({ SLUICE_PROVIDER: "ec2", SLUICE_ECR: "off" }).ecr).toBeUndefined();
    const endpoint = "https://ecr.example";
    expect(read({ SLUICE_ECR: "on", AWS_ENDPOINT_URL_ECR: endpoint }).ecr).toEqual({ endpoint });
    expect(problemsOf({ ...minimal, SLUICE_IMAGE_CACHE_GB: "some", SLUICE_ECR: "yes" })).toEqual([
      "SLUICE_IMAGE_CACHE_GB is a whole number",
      "SLUICE_ECR is on or off",
    ]);
  });

  it("reads how much of a log is kept, of steps and of services", () => {
    const read = (env: Record<string, string>) => {
      const parsed = parseConfig({ ...minimal, ...env }, host);
      return parsed.ok ? parsed.config.maxLogBytes : parsed.problems;
    };
    expect(read({})).toEqual({ step: 1024 ** 3, service: 32 * 1024 ** 2 });
    expect(read({ SLUICE_STEP_LOG_BYTES: "5", SLUICE_SERVICE_LOG_BYTES: "6" })).toEqual({ step: 5, service: 6 });
    expect(read({ SLUICE_STEP_LOG_BYTES: "1 GB" })).toEqual(["SLUICE_STEP_LOG_BYTES is a whole number"]);
  });

  it("reads DOCKER_HOST as a socket or a TCP address", () => {
    const read = (DOCKER_HOST: string) => {
      const parsed = parseConfig({ ...minimal, DOCKER_HOST }, host);
      return parsed.ok ? parsed.config.docker : undefined;
    };
    expect(read("unix:///run/d.sock")).toEqual({ kind: "socket", path: "/run/d.sock" });
    expect(read("tcp://10.0.0.1:2375")).toEqual({ kind: "tcp", host: "10.0.0.1", port: 2375 });
  });

  it.each(["https://10.0.0.1", "tcp://10.0.0.1:2376"])("refuses %s: it does not speak TLS to Docker", (DOCKER_HOST) => {
    const problems = [expect.stringMatching(/^DOCKER_HOST means a daemon with TLS/)];
    expect(parseConfig({ ...minimal, DOCKER_HOST }, host)).toEqual({ ok: false, problems });
  });

  it("hands steps nothing of its own environment but what processes need", () => {
    const parsed = parseConfig({ ...minimal, PATH: "/bin", AWS_SECRET_ACCESS_KEY: "hush" }, host);
    expect(parsed).toMatchObject({ ok: true, config: { hostEnv: { PATH: "/bin" } } });
    expect(parsed.ok && Object.keys(parsed.config.hostEnv)).toEqual(["PATH"]);
  });

  it("never prints the token", () => {
    const parsed = parseConfig(minimal, host);
    expect(JSON.stringify(parsed) + inspect(parsed, { depth: 9 })).not.toContain("hush");
  });
});
