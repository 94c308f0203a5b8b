import { describe, expect, it } from "vitest";
import { type JobSpecInput, jobSpecSchema } from "./job-spec.ts";

const imageId = `sha256:${"a1".repeat(32)}`;

function jobWith(changes: Partial<JobSpecInput>): JobSpecInput {
  return {
    name: "hello",
    steps: [{ kind: "container", name: "step-1", image: "busybox:stable" }],
    tasks: [{ name: "one" }],
    ...changes,
  };
}

function explainRefusal(job: unknown): string[] {
  const result = jobSpecSchema.safeParse(job);
  return result.success ? [] : result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.code}`);
}

describe("jobSpecSchema", () => {
  it("fills in every default", () => {
    expect(jobSpecSchema.parse(jobWith({}))).toEqual({
      name: "hello",
      pool: "default",
      env: {},
      abort: "never",
      services: {},
      steps: [{ kind: "container", name: "step-1", image: "busybox:stable", shipped: false, entry: null, env: {} }],
      tasks: [{ name: "one", slots: 1, env: {} }],
      artifacts: { paths: ["**"] },
    });
  });

  it("accepts its own output again unchanged", () => {
    const job = jobSpecSchema.parse(
      jobWith({
        timeoutMs: 1000,
        services: {
          db: { image: "mysql:8", tmpfs: ["/data:size=64m"], health: { check: { kind: "http", port: 80 } } },
        },
        steps: [
          { kind: "container", name: "a", image: imageId, shipped: true, entry: { command: ["x", ""] }, workdir: "/w" },
          { kind: "process", name: "b", entry: { run: "true" }, workdir: "sub", timeoutMs: 1 },
        ],
        artifacts: { paths: ["logs/**"], exclude: ["logs/x"], retentionMs: 1 },
      }),
    );
    expect(jobSpecSchema.parse(JSON.parse(JSON.stringify(job)))).toEqual(job);
  });

  it("takes a thousand needs of a task and not one more", () => {
    const needs = Array.from({ length: 1_001 }, (_, index) => `t${index}`);
    const tasks = needs.map((name) => ({ name }));
    expect(explainRefusal(jobWith({ tasks: [...tasks, { name: "a", needs: needs.slice(1) }] }))).toEqual([]);
    expect(explainRefusal(jobWith({ tasks: [...tasks, { name: "a", needs }] }))).toEqual(["tasks.1001.needs: too_big"]);
  });

  it("takes 10,000 tasks and not one more", () => {
    const tasks = Array.from({ length: 10_000 }, (_, index) => ({ name: `t${index}` }));
    expect(explainRefusal(jobWith({ tasks }))).toEqual([]);
    expect(explainRefusal(jobWith({ tasks: [...tasks, { name: "extra" }] }))).toEqual(["tasks: too_big"]);
  });

  it.each([
    ["no task", { tasks: [] }, "tasks: too_small"],
    ["no step", { steps: [] }, "steps: too_small"],
    ["a repeated task name", { tasks: [{ name: "a" }, { name: "b" }, { name: "a" }] }, "tasks.2.name: custom"],
    ["a name with capitals", { name: "Hello" }, "name: invalid_format"],
    ["a name that climbs", { pool: "../x" }, "pool: invalid_format"],
    ["an unknown key", { stepz: [] }, ": unrecognized_keys"],
    ["an env name in lower case", { env: { path: "x" } }, "env.path: invalid_key"],
    ["an env name of Sluice's own", { env: { SLUICE_TASK: "x" } }, "env.SLUICE_TASK: custom"],
    ["a NUL in an env value", { env: { AB: "x\0" } }, "env.AB: invalid_format"],
    ["half a slot", { tasks: [{ name: "a", slots: 0.5 }] }, "tasks.0.slots: invalid_type"],
    ["too many slots", { tasks: [{ name: "a", slots: 1025 }] }, "tasks.0.slots: too_big"],
    ["a need that is no task", { tasks: [{ name: "a", needs: ["b"] }] }, "tasks.0.needs.0: custom"],
    ["a task that needs itself", { tasks: [{ name: "a", needs: ["a"] }] }, "tasks.0.needs.0: custom"],
    [
      "tasks that need each other",
      {
        tasks: [
          { name: "a", needs: ["b"] },
          { name: "b", needs: ["a"] },
        ],
      },
      "tasks.0.needs.0: custom",
    ],
    ["a negative timeout", { timeoutMs: -1 }, "timeoutMs: too_small"],
    ["a timeout that no timer holds", { timeoutMs: 2 ** 31 }, "timeoutMs: too_big"],
    ["a service that is an address", { services: { "0x7f": { image: "redis" } } }, "services.0x7f: custom"],
    ["a service without image", { services: { redis: {} } }, "services.redis.image: invalid_type"],
    [
      "a mount that gives rights",
      { services: { redis: { image: "redis", tmpfs: ["/x:dev"] } } },
      "services.redis.tmpfs.0: invalid_format",
    ],
    [
      "resources that nothing can be held to",
      { resources: { pids: 99 }, steps: [{ kind: "process", name: "x", entry: { run: "a" } }] },
      "resources: custom",
    ],
    ["resources that no container starts with", { resources: { cpus: 0.001 } }, "resources.cpus: too_small"],
    [
      "services that no step reaches",
      { services: { redis: { image: "redis" } }, steps: [{ kind: "process", name: "x", entry: { run: "a" } }] },
      "services: custom",
    ],
    ["an artifact path that climbs", { artifacts: { paths: ["a/../../b"] } }, "artifacts.paths.0: custom"],
    ["an exclusion of an exclusion", { artifacts: { exclude: ["!a"] } }, "artifacts.exclude.0: custom"],
    ["an absolute artifact path", { artifacts: { paths: ["/etc"] } }, "artifacts.paths.0: custom"],
  ])("refuses %s", (_, changes, refusal) => {
    expect(explainRefusal({ ...jobWith({}), ...changes })).toEqual([refusal]);
  });

  it.each([
    ["a shipped image without an id", { kind: "container", name: "x", image: "busybox", shipped: true }, "image"],
    ["a relative workdir in a container", { kind: "container", name: "x", image: "busybox", workdir: "a" }, "workdir"],
    ["an image that reads as an option", { kind: "container", name: "x", image: "--privileged" }, "image"],
    ["a process without an entry", { kind: "process", name: "x" }, "entry"],
    ["a process with an image", { kind: "process", name: "x", image: "busybox", entry: { run: "a" } }, ""],
    ["an entry with run and command", { kind: "process", name: "x", entry: { run: "a", command: ["b"] } }, "entry"],
    ["an empty program", { kind: "process", name: "x", entry: { command: [""] } }, "entry.command"],
    ["a name with a line break", { kind: "process", name: "x\ny", entry: { run: "a" } }, "name"],
  ])("refuses a step with %s", (_, step, path) => {
    const refusals = explainRefusal({ ...jobWith({}), steps: [step] });
    expect(refusals.map((refusal) => refusal.split(":")[0])).toEqual([["steps.0", path].filter(Boolean).join(".")]);
  });

  it("bounds the spec without its tasks to what one table item holds", () => {
    const step = { kind: "process" as const, name: "x", entry: { run: "x".repeat(90_000) } };
    expect(explainRefusal(jobWith({ steps: [step, step] }))).toEqual([]);
    expect(explainRefusal(jobWith({ steps: [step, step, step] }))).toEqual(["steps: custom"]);
  });
});
