import { describe, expect, it } from "vitest";
import { jobSpecSchema } from "./job-spec.ts";
import { parseJobFile } from "./parse.ts";
import { listImageBuilds, toJobSpec } from "./resolve.ts";
import type { JobDocument } from "./schema.ts";

const imageId = `sha256:${"0123456789abcdef".repeat(4)}`;

function parse(source: string): JobDocument {
  const parsed = parseJobFile(source, { fileName: "job.yaml" });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join("; "));
  return parsed.job;
}

const full = `name: full
pool: big
env: { AA: "1" }
timeout: 30m
abort: on-error
services:
  redis:
    image: redis:7
    command: [redis-server, --save, ""]
    env: { CC: "3" }
    tmpfs: ["/data:size=64m"]
    health: { cmd: [redis-cli, ping], timeout: 2s, interval: 500ms, retries: 3, start_period: 1s }
  web: { image: nginx, health: { http: ":8080/ready" } }
  db: { image: mysql, health: { log: ready to accept } }
  queue: { image: nats, health: { tcp: 4222 } }
  plain: { image: busybox }
steps:
  - { dockerfile: ./Dockerfile, options: [--pull] }
  - { image: "node:24", run: npm test, name: tests, timeout: 10m, workdir: /src }
  - { image: busybox, command: [ls, -l] }
  - { image: busybox }
  - { run: ./smoke.sh, env: { BB: "2" }, workdir: sub }
tasks: [unit, { name: heavy, slots: 8, timeout: 2h, env: { SHARD: "1" } }]
resources: { cpus: 1.5, memory: 4g, pids: 500 }
artifacts: { paths: [out], exclude: [out/tmp], retention: 30d }
`;

describe("toJobSpec", () => {
  it("turns a job file into what the API takes", () => {
    const spec = toJobSpec(parse(full), new Map([[0, { imageId, layers: [imageId] }]]));
    const service = { env: {}, tmpfs: [] };
    const health = { timeoutMs: 5_000, intervalMs: 1_000, retries: 10, startPeriodMs: 0 };
    const container = { kind: "container", shipped: false, env: {} };
    expect(spec).toEqual({
      name: "full",
      pool: "big",
      env: { AA: "1" },
      timeoutMs: 1_800_000,
      abort: "on-error",
      services: {
        redis: {
          image: "redis:7",
          command: ["redis-server", "--save", ""],
          env: { CC: "3" },
          tmpfs: ["/data:size=64m"],
          health: {
            check: { kind: "cmd", command: ["redis-cli", "ping"] },
            timeoutMs: 2_000,
            intervalMs: 500,
            retries: 3,
            startPeriodMs: 1_000,
          },
        },
        web: { ...service, image: "nginx", health: { ...health, check: { kind: "http", port: 8080, path: "/ready" } } },
        db: { ...service, image: "mysql", health: { ...health, check: { kind: "log", text: "ready to accept" } } },
        queue: { ...service, image: "nats", health: { ...health, check: { kind: "tcp", port: 4222 } } },
        plain: { ...service, image: "busybox" },
      },
      steps: [
        { ...container, name: "step-1", image: imageId, shipped: true, layers: [imageId], entry: null },
        {
          ...container,
          name: "tests",
          image: "node:24",
          entry: { run: "npm test" },
          timeoutMs: 600_000,
          workdir: "/src",
        },
        { ...container, name: "step-3", image: "busybox", entry: { command: ["ls", "-l"] } },
        { ...container, name: "step-4", image: "busybox", entry: null },
        { kind: "process", name: "step-5", entry: { run: "./smoke.sh" }, env: { BB: "2" }, workdir: "sub" },
      ],
      tasks: [
        { name: "unit", slots: 1, env: {} },
        { name: "heavy", slots: 8, timeoutMs: 7_200_000, env: { SHARD: "1" } },
      ],
      resources: { cpus: 1.5, memoryBytes: 4 * 1024 ** 3, pids: 500 },
      artifacts: { paths: ["out"], exclude: ["out/tmp"], retentionMs: 2_592_000_000 },
    });
  });

  it("makes what the API's own schema accepts unchanged", () => {
    const spec = toJobSpec(parse(full), new Map([[0, { imageId, layers: [imageId] }]]));
    expect(jobSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
  });

  it("throws where the caller has not built an image", () => {
    expect(() => toJobSpec(parse(full))).toThrow("steps[0] has a dockerfile, but no image was built for it");
  });
});

describe("listImageBuilds", () => {
  it("lists the builds that dockerfile steps need", () => {
    expect(listImageBuilds(parse(full))).toEqual([
      { stepIndex: 0, stepName: "step-1", dockerfile: "./Dockerfile", context: ".", options: ["--pull"] },
    ]);
  });
});
