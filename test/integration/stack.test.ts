import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Job, TaskPage } from "../../shared/api/schemas.ts";
import { runCli } from "../support/cli.ts";
import { startCli } from "../support/cli-child.ts";
import { needDocker } from "../support/docker.ts";
import { ensureMysqlImage, ensureRedisImage } from "../support/docker-images.ts";
import { eventually } from "../support/eventually.ts";
import { callApi, readTask, step, submit, waitForJob } from "../support/jobs.ts";
import { isBundled, type RunningStack, startLocalStack } from "../support/local-stack.ts";
import { needTerminal, openTerminal } from "../support/terminal.ts";

let stack: RunningStack;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  stack = await startLocalStack({ slots: 4 });
});

afterAll(async () => {
  await stack.stop();
  await stack.remove();
  await rm(folder, { recursive: true, force: true });
});

async function writeJobFile(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

describe("the examples", () => {
  it("run hello-host.yaml to completion and fetch its artifacts", async () => {
    const out = join(folder, "hello-host");
    const { code, stdout, stderr } = await runCli(stack, ["run", "examples/hello-host.yaml", "-o", out]);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/: completed, 3 of 3 tasks in /);
    expect((await readdir(out)).filter((name) => name.endsWith(".tar.zst"))).toHaveLength(3);
  });

  it("run mixed.yaml: failed, skipped and completed tasks, each with its reason, and exit 1", async () => {
    const { code, stdout } = await runCli(stack, ["run", "examples/mixed.yaml"]);
    expect(code).toBe(1);
    expect(stdout).toContain("exited with 42");
    expect(stdout).toContain("exited with 43");
    expect(stdout).toContain("exited with 7");
    expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/: failed/);
  });

  it("run pipeline.yaml in the order of its needs, trying a task that failed again", async () => {
    const { code, stdout } = await runCli(stack, ["run", "examples/pipeline.yaml", "--json"]);
    expect(code).toBe(0);
    const events = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const starts = events.filter(({ to }) => to === "running").map(({ task }) => String(task));
    expect(starts.toSorted()).toEqual(["build", "lint", "publish", "unit", "unit"]);
    expect([starts[0], starts.at(-1)]).toEqual(["build", "publish"]);
  });

  it("tell why a task of mixed.yaml failed, with its last lines", async () => {
    const { stdout } = await runCli(stack, ["ps", "--name", "mixed", "--json"]);
    const jobId = (JSON.parse(stdout) as { jobs: Job[] }).jobs[0]?.job ?? "";
    const page = await callApi<TaskPage>(stack, `/v1/jobs/${jobId}/tasks?status=failed`);
    const task = page.tasks.find(({ exitCode }) => exitCode === 7)?.task ?? "";
    const told = await runCli(stack, ["why", jobId, task]);
    expect(told.code).toBe(0);
    expect(told.stdout).toContain(`${task} failed: `);
    expect(told.stdout).toContain("last lines of step 1, attempt 1:");
    const json = JSON.parse((await runCli(stack, ["why", jobId, task, "--json"])).stdout);
    expect(json).toMatchObject({ job: jobId, task, status: "failed", code: "failed" });
    expect((await runCli(stack, ["why", jobId, "no-such"])).code).toBe(5);
    expect((await runCli(stack, ["why", "no-such", task])).code).toBe(5);
  });

  it.runIf(!isBundled)("run hello.yaml in containers and fetch its artifacts", async (context) => {
    if (!(await needDocker(context))) return;
    const out = join(folder, "hello");
    const { code, stdout } = await runCli(stack, ["run", "examples/hello.yaml", "-o", out]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/: completed, 3 of 3 tasks in /);
    expect((await readdir(out)).filter((name) => name.endsWith(".tar.zst"))).toHaveLength(3);
  });

  it.runIf(!isBundled)(
    "run services.yaml: each task with services of its own, whose logs are kept",
    async (context) => {
      if (!(await needDocker(context))) return;
      await ensureRedisImage(new Docker());
      const { code, stderr, stdout } = await runCli(stack, ["run", "examples/services.yaml"]);
      expect({ code, stderr, stdout }).toMatchObject({ code: 0 });
      const jobId = /^(services-\w+): completed, 2 of 2 tasks/m.exec(stdout)?.[1] ?? "";
      const { stdout: log } = await runCli(stack, ["logs", jobId, "left", "--service", "redis"]);
      expect(log).toContain("Ready to accept connections");
      expect((await runCli(stack, ["show", jobId, "left"])).stdout).toMatch(/service +redis +\d+ lines/);
    },
  );

  it("run build.yaml: its image is built here and shipped to the worker", async (context) => {
    if (!(await needDocker(context))) return;
    const { code, stderr, stdout } = await runCli(stack, ["run", "examples/build.yaml"]);
    expect({ code, stderr, stdout }).toMatchObject({ code: 0 });
  });
});

describe("job files of Alfred", () => {
  it("run with their services, secrets, slots and built steps, and find what Alfred told its steps", async (context) => {
    if (!(await needDocker(context))) return;
    const docker = new Docker();
    await Promise.all([ensureRedisImage(docker), ensureMysqlImage(docker)]);
    const token = "token-of-a-job-of-alfred";
    await runCli(stack, ["secrets", "set", "alfred/api-token"], { input: token });
    const out = join(folder, "alfred");
    const { code, stderr, stdout } = await runCli(stack, ["run", "test/jobs-of-alfred/integration.yaml"]);
    expect({ code, stderr, stdout }).toMatchObject({ code: 0 });
    const jobId = /^(integration-\w+): completed, 2 of 2 tasks/m.exec(stdout)?.[1] ?? "";
    expect((await runCli(stack, ["artifact", jobId, "heavy", "-o", out, "--extract"])).code).toBe(0);
    expect(await readFile(await findFile(out, "report.txt"), "utf8")).toBe(
      `Hello from ${jobId}/heavy with 2 slots\napp\nmysql\n+PONG\n`,
    );
    const log = (await runCli(stack, ["logs", jobId, "heavy"])).stdout;
    expect(log).toContain("token ***");
    expect(log).not.toContain(token);
    const { stdout: mysqlLog } = await runCli(stack, ["logs", jobId, "2", "--service", "mysql"]);
    expect(mysqlLog).toMatch(/port: 0 [\s\S]*port: 3306 [\s\S]*Shutdown complete/);
  });

  it.runIf(!isBundled)("make their tasks by templates", async () => {
    const file = "test/jobs-of-alfred/instances.yaml";
    const run = await runCli(stack, ["run", "-n", file, "extra", "-p", "only=shop", "--json"]);
    expect(JSON.parse(run.stdout)).toMatchObject({
      name: "instances",
      env: { REVISION: "r42", HOME_OF: process.env.HOME },
      tasks: [
        { name: "shop-1", slots: 1 },
        { name: "shop-2", slots: 4 },
        { name: "extra", slots: 1 },
      ],
    });
    const stopped = await runCli(stack, ["run", "-n", file, "-p", "only=nothing"]);
    expect(stopped.code).toBe(2);
    expect(stopped.stderr).toContain("there is no instance of nothing");
  });
});

describe("cancel", () => {
  it("ends a running task within seconds, keeping its log and output, and exits 3", async () => {
    const jobId = await submit(stack, {
      name: "cancel-running",
      steps: [step({ run: 'echo before; echo kept > "$SLUICE_OUTPUT/kept.txt"; sleep 600' })],
      tasks: [{ name: "only" }],
    });
    await eventually(async () => (await readTask(stack, jobId, "only")).status === "running", "the task runs");
    await eventually(
      async () => (await runCli(stack, ["logs", jobId, "only"])).stdout.includes("before"),
      "its log shows",
    );
    expect((await runCli(stack, ["cancel", jobId])).code).toBe(0);
    const watched = await runCli(stack, ["watch", jobId]);
    expect(watched.code).toBe(3);
    const task = await readTask(stack, jobId, "only");
    expect(task).toMatchObject({ status: "aborted", reason: { code: "cancelled" } });
    expect((await runCli(stack, ["logs", jobId, "only"])).stdout).toContain("before");
    const out = join(folder, "cancelled");
    expect((await runCli(stack, ["artifact", jobId, "only", "-o", out, "--extract"])).code).toBe(0);
    expect(await readFile(await findFile(out, "kept.txt"), "utf8")).toBe("kept\n");
  });

  it("ends a queued task without running it", async () => {
    const jobId = await submit(stack, {
      name: "cancel-queued",
      steps: [step({ run: "sleep 600" })],
      tasks: [
        { name: "first", slots: 4 },
        { name: "second", slots: 4 },
      ],
    });
    const running = await eventually(async () => {
      const page = await callApi<TaskPage>(stack, `/v1/jobs/${jobId}/tasks`);
      return page.tasks.find((task) => task.status === "running");
    }, "one of two runs");
    const queued = running.task === "first" ? "second" : "first";
    expect((await runCli(stack, ["cancel", jobId, queued])).code).toBe(0);
    await eventually(
      async () => (await readTask(stack, jobId, queued)).status === "aborted",
      "the queued one is aborted",
    );
    expect((await readTask(stack, jobId, queued)).attempts).toEqual([]);
    expect((await readTask(stack, jobId, running.task)).status).toBe("running");
    expect((await runCli(stack, ["cancel", jobId])).code).toBe(0);
    const job = await waitForJob(stack, jobId);
    expect(job).toMatchObject({ status: "aborted", counts: { aborted: 2 } });
  });
});

describe("a job's timeout", () => {
  it("ends its running tasks in time, starts no other, and fails the job", async () => {
    const jobId = await submit(stack, {
      name: "overdue",
      timeoutMs: 2_000,
      steps: [step({ run: "echo started; sleep 600" })],
      tasks: [
        { name: "first", slots: 4 },
        { name: "second", slots: 4 },
      ],
    });
    const job = await waitForJob(stack, jobId);
    expect(job).toMatchObject({ status: "failed", counts: { timed_out: 2 } });
    const { tasks } = await callApi<TaskPage>(stack, `/v1/jobs/${jobId}/tasks`);
    expect(tasks.map((task) => task.attempt).sort()).toEqual([0, 1]);
    expect(tasks.every((task) => task.reason?.code === "timed_out")).toBe(true);
  });
});

describe("exit codes", () => {
  it("is 2 for an invalid job file, with every problem at its place", async () => {
    const file = await writeJobFile("invalid.yaml", 'version: "1"\nname: Bad\nsteps:\n  - imgae: x\ntasks: [a, a]\n');
    const { code, stderr, stdout } = await runCli(stack, ["run", file]);
    expect(code).toBe(2);
    const said = stdout + stderr;
    for (const part of ["invalid.yaml:2:", "imgae", "did you mean", "already"]) expect(said).toContain(part);
  });

  it("is 5 for an unknown job, 4 for a wrong token and for a control plane that is not there", async () => {
    expect((await runCli(stack, ["show", "hello-00000000000000000000000000"])).code).toBe(5);
    expect((await runCli({ ...stack, token: "wrong" }, ["ps"])).code).toBe(4);
    const unreachable = await runCli({ url: "http://127.0.0.1:9", token: "x" }, ["ps"]);
    expect(unreachable.code).toBe(4);
    expect(unreachable.stderr).toContain("127.0.0.1:9");
  });
});

async function findFile(root: string, name: string): Promise<string> {
  const entries = await readdir(root, { recursive: true });
  const found = entries.find((entry) => entry.endsWith(name));
  if (!found) throw new Error(`${name} is not among ${entries.join(", ")}`);
  return join(root, found);
}

describe("a job whose tasks need others", () => {
  it("fails with a branch that fails, skips what waits for it, and completes when that is retried", async () => {
    const file = await writeJobFile(
      "diamond.yaml",
      `name: diamond
steps: [{ run: '[ "$SLUICE_TASK" != left ] || [ "$SLUICE_ATTEMPT" -gt 1 ]' }]
tasks: [top, { name: left, needs: [top] }, { name: right, needs: [top] }, { name: bottom, needs: [left, right] }]
`,
    );
    const first = await runCli(stack, ["run", file]);
    expect(first.code).toBe(1);
    expect(first.stdout).toContain("needs left, which failed");
    const jobId = /^(diamond-\w+): failed/m.exec(first.stdout)?.[1] ?? "";
    const retried = await runCli(stack, ["retry", jobId]);
    expect(retried.stdout).toContain(`retrying 1 task of ${jobId}: left\n1 task that needs it will follow`);
    const watched = await runCli(stack, ["watch", jobId]);
    expect(watched.code).toBe(0);
    expect(watched.stdout).toContain("completed, 4 of 4 tasks");
    const { attempts } = await readTask(stack, jobId, "left");
    expect(attempts.map(({ outcome }) => outcome?.state)).toEqual(["failed", "completed"]);
  });
});

describe("sluice top", () => {
  it("prints the overview as it changes for programs, and needs a terminal for people", async () => {
    const cli = startCli(stack, ["top", "--json"]);
    for (const part of ["pools", "queues", "jobs", "failures", "events"]) await cli.until(new RegExp(`"${part}":`));
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    for (const line of cli.stdout.trimEnd().split("\n")) expect(JSON.parse(line)).toHaveProperty("at");
    const piped = await runCli(stack, ["top"]);
    expect([piped.code, piped.stdout]).toEqual([2, ""]);
    expect(piped.stderr).toContain("sluice top --json");
  });

  // The last one of this file: it kills the stack.
  it.runIf(!isBundled)(
    "moves on a real terminal with what happens, through a restart, and leaves the terminal as it was",
    async (context) => {
      if (!needTerminal(context)) return;
      const env = { SLUICE_URL: stack.url, SLUICE_TOKEN: stack.token };
      const terminal = await openTerminal({ columns: 110, rows: 32 }, env);
      try {
        terminal.type(
          `stty -g > ${join(folder, "before")}; SLUICE_URL=http://127.0.0.1:9 node cli/bin.mjs top; echo code=$?`,
        );
        await terminal.until(/error: cannot reach [\s\S]*code=4\n/);
        terminal.type("clear; node cli/bin.mjs top; echo code=$?");
        await terminal.until(
          /POOLS 1 .*\n {2}default +alive [\s\S]*WORKERS \d.*\n {2}w-\w+ +alive [\s\S]*JOBS 0 active/,
        );
        expect(terminal.modes()).toEqual({ alternate: true, cursor: false });

        const gate = join(folder, "gate");
        const run = `echo begun; [ $SLUICE_TASK = short ] || sleep 600; until [ -e ${gate} ]; do sleep 0.1; done`;
        const file = await writeJobFile("top.yaml", `name: top\nsteps: [{ run: '${run}' }]\ntasks: [long, short]\n`);
        const submitted = await runCli(stack, ["run", "--async", "-q", file]);
        const jobId = submitted.stdout.trim();
        await terminal.until(/JOBS 1 active .*\n.* top-\S+ +▸ running .* 0\/2 +2 /);
        terminal.press("g", "Enter");
        await terminal.until(/❯ long +▸ running .*\n {2}short +▸ running [\s\S]*why: long runs on worker/);
        await writeFile(gate, "");
        await terminal.until(/short +✓ completed/);
        terminal.press("l");
        await terminal.until(/running +follows the end\n── step 1 ─+\nbegun\n/);
        terminal.press("c");
        await terminal.until(/cancel long of top-\S+\? \[y\/N\]/);
        terminal.press("y");
        await terminal.until(/■ aborted: cancelled by /);
        expect((await waitForJob(stack, jobId)).status).toBe("aborted");
        terminal.press("Escape");
        await terminal.until(/❯ long +■ aborted/);
        terminal.press("Escape");

        await stack.kill();
        await terminal.until(/contact lost for .*, trying again/);
        stack = await startLocalStack({ slots: 4, dataDir: stack.dataDir, port: Number(new URL(stack.url).port) });
        const after = await writeJobFile("after.yaml", "name: after\nsteps: [{ run: 'true' }]\ntasks: [only]\n");
        await runCli(stack, ["run", "--async", "-q", after]);
        await terminal.until(/^sluice top › overview +127\.0\.0\.1[\s\S]* after-\S+ +✓ completed +█+ +1\/1/);
        terminal.resize(60, 16);
        // What was chosen stays so, wherever it has gone.
        await terminal.until(/JOBS 0 active .*\n {2}after-\S+ +✓ completed +1\/1\n❯ top-/);
        terminal.press("q");
        await terminal.until(/code=0\n/);
        expect(terminal.modes()).toEqual({ alternate: false, cursor: true });
        terminal.type(`clear; stty -g | diff - ${join(folder, "before")} && echo as before`);
        await terminal.until(/^as before$/m);
      } finally {
        await terminal.close();
      }
    },
  );
});
