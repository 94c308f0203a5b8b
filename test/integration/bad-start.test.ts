import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Task } from "../../shared/api/schemas.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, step, submit, waitForJob } from "../support/jobs.ts";
import { findFreePort, startLocalStack } from "../support/local-stack.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-bad-"));
});

afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }));

it("says which port is taken and how to choose another", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const { code, stderr } = await runCli(undefined, ["dev", "--port", `${port}`, "--data-dir", join(folder, "data")]);
  server.close();
  expect(code).not.toBe(0);
  expect(stderr).toContain(`port ${port} is taken`);
  expect(stderr).toContain("--port");
});

it("refuses a data folder that another stack runs on", async () => {
  const stack = await startLocalStack({ dataDir: join(folder, "data"), workers: 0 });
  const second = await runCli(undefined, [
    "dev",
    "--port",
    `${await findFreePort()}`,
    "--data-dir",
    join(folder, "data"),
  ]);
  await stack.stop();
  expect(second.code).not.toBe(0);
  expect(second.stderr).toContain("another local stack is running");
});

it.each([1, 99])("refuses data of format %i and says how to begin anew", async (version) => {
  const dataDir = join(folder, "data");
  await mkdir(dataDir);
  await writeFile(join(dataDir, "state.json"), JSON.stringify({ version }));
  const { code, stderr } = await runCli(undefined, ["dev", "--data-dir", dataDir]);
  expect(code).not.toBe(0);
  expect(stderr).toContain(`format ${version}, this one reads 2`);
  expect(stderr).toContain("--reset");
});

it("says which limits cannot be used, all at once", async () => {
  const { code, stderr } = await runCli(
    undefined,
    ["dev", "--port", `${await findFreePort()}`, "--data-dir", join(folder, "data")],
    { env: { SLUICE_LIMITS_TASK_PAGE: "0", SLUICE_LIMITS_JOBS: "5" } },
  );
  expect(code).not.toBe(0);
  expect(stderr).toContain("SLUICE_LIMITS_JOBS is no setting");
  expect(stderr).toContain("SLUICE_LIMITS_TASK_PAGE is a whole number from 1 to 1000");
});

it("tells its owner only where it is and by which tokens, by the processes it has now, and no more once it is stopped", async () => {
  const dataDir = join(folder, ".sluice");
  const stack = await startLocalStack({ dataDir, workers: 0 });
  for (const name of ["stack.json", "state.json"]) expect((await stat(join(dataDir, name))).mode & 0o077).toBe(0);
  const readPids = async () => {
    const text = await readFile(join(dataDir, "stack.json"), "utf8");
    return (JSON.parse(text) as { pids: Record<string, number> }).pids;
  };
  for (const part of ["functions", "dynamodb"]) {
    const before = (await readPids())[part] ?? 0;
    process.kill(before, "SIGKILL");
    await eventually(async () => (await readPids())[part] !== before, `another ${part} in stack.json`);
  }
  expect((await runCli(undefined, ["ps"], { cwd: folder })).code).toBe(0);
  await stack.stop();
  const { code, stderr } = await runCli(undefined, ["ps"], { cwd: folder });
  expect(code).toBe(4);
  expect(stderr).toContain(`the local stack of ${folder} is not running; start it with \`sluice dev\``);
});

it.each([
  ["a file", "file", "is a file, not a folder"],
  ["a dangling link", "dangling", "is a link to something that does not exist"],
  ["where no folder can be made", "/proc/nope", "cannot be"],
  ["empty", "", "--data-dir is empty"],
])("says in one sentence that its data folder is %s, and ends", async (_what, dataDir, problem) => {
  await writeFile(join(folder, "file"), "");
  await symlink("nowhere", join(folder, "dangling"));
  const { code, stderr } = await runCli(undefined, ["dev", "--port", "0", "--data-dir", dataDir], { cwd: folder });
  expect(code).not.toBe(0);
  expect(stderr.trimEnd().split("\n")).toEqual([expect.stringContaining(problem)]);
});

it("says that the disk is full when the data folder cannot be written", async (context) => {
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
  if (mount.status !== 0) {
    process.stderr.write("SKIPPED: no small file system can be mounted here\n");
    return context.skip();
  }
  try {
    const { code, stderr } = await runCli(undefined, [
      "dev",
      "--port",
      `${await findFreePort()}`,
      "--data-dir",
      join(folder, "data"),
    ]);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/no space left|disk is full/);
  } finally {
    spawnSync("umount", [folder]);
  }
});

it("runs host-process steps without Docker, and fails container steps with a reason that says what to do", async () => {
  const stack = await startLocalStack({
    dataDir: join(folder, "data"),
    env: { DOCKER_HOST: `unix://${join(folder, "no-docker.sock")}` },
  });
  try {
    const host = await submit(stack, { name: "host", steps: [step({ run: "true" })], tasks: [{ name: "only" }] });
    expect((await waitForJob(stack, host)).status).toBe("completed");
    const container = await submit(stack, {
      name: "container",
      steps: [step({ run: "true" }, "busybox:stable")],
      tasks: [{ name: "only" }],
    });
    expect((await waitForJob(stack, container)).status).toBe("failed");
    const task = await callApi<Task>(stack, `/v1/jobs/${container}/tasks/only`);
    expect(task.reason?.detail).toContain("Docker");
    expect(task.reason?.fault).toBe("infrastructure");
  } finally {
    await stack.stop();
  }
});
