import { mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JobEvent } from "../../events/index.ts";
import { startCli } from "../support/cli-child.ts";
import { type FakeApi, startFakeApi } from "../support/fake-api.ts";
import { createFakeArtifact, endTasks } from "../support/fake-job.ts";

let fake: FakeApi;
let folder: string;
let jobFile: string;

beforeEach(async () => {
  fake = await startFakeApi();
  folder = await mkdtemp(join(tmpdir(), "sluice-cli-run-"));
  jobFile = await writeJob("hello.yaml", "name: hello\nsteps: [{ run: echo hi }]\ntasks: [unit, smoke, lint]\n");
});

afterEach(async () => {
  await fake.close();
  await rm(folder, { recursive: true, force: true });
});

async function writeJob(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

function readJsonLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("sluice run", () => {
  it("exits with 0 and says so in the last line when every task completed", async () => {
    fake.onSubmit = (job) => endTasks(job);
    const cli = startCli(fake, ["run", jobFile]);
    expect(await cli.end()).toBe(0);
    expect(lastLine(cli.stdout)).toMatch(/^hello-[0-9a-z]{26}: completed, 3 of 3 tasks in \d+\.\d s$/);
    expect(cli.stderr).toMatch(/✅ unit completed after/);
  });

  it("exits with 1 and tells each task that failed with its reason", async () => {
    fake.onSubmit = (job) => endTasks(job, { smoke: "failed", lint: "timed_out" });
    const cli = startCli(fake, ["run", jobFile]);
    expect(await cli.end()).toBe(1);
    expect(cli.stdout).toMatch(/❌ +smoke .*step-1 of smoke exited with 7/);
    expect(lastLine(cli.stdout)).toMatch(/: failed, 2 of 3 tasks failed in /);
  });

  it("exits with 3 when the job was aborted", async () => {
    fake.onSubmit = (job) => {
      job.requestCancel("cancelled by ann");
      for (const task of job.tasks.keys()) job.move(task, "aborted");
    };
    const cli = startCli(fake, ["run", jobFile]);
    expect(await cli.end()).toBe(3);
    expect(cli.stdout).toContain("ended early: cancelled by ann");
    expect(lastLine(cli.stdout)).toMatch(/: aborted, /);
  });

  it("submits what the file says, with templates, parameters and the abort policy applied", async () => {
    fake.onSubmit = (job) => endTasks(job);
    const text = 'name: "{{ params.name }}"\nsteps: [{ run: "echo {{ args[0] }}" }]\ntasks: [a]\n';
    const file = await writeJob("template.yaml", text);
    const cli = startCli(fake, ["run", file, "first", "-p", "name=made-up", "--abort-on-error"]);
    expect(await cli.end()).toBe(0);
    const submit = fake.requests.find(({ method }) => method === "POST");
    expect(JSON.parse(submit?.body ?? "")).toMatchObject({
      spec: { name: "made-up", abort: "on-error", steps: [{ entry: { run: "echo first" } }], tasks: [{ name: "a" }] },
    });
  });

  it("submits what a job file in TypeScript makes, whatever it prints and leaves open, and tells what it throws", async () => {
    const file = await writeJob(
      "job.ts",
      `import { defineJob, type JobInputs } from "sluice";
import { execSync } from "node:child_process";
interface Shard { name: string }
setInterval(() => undefined, 1000);
export default defineJob(async ({ env, args, params }: JobInputs) => {
  console.log("for people");
  if (params.stop) throw new Error("stopped by " + params.stop);
  execSync("echo of a child", { stdio: "inherit" });
  const tasks: Shard[] = args.map((name) => ({ name }));
  return { name: "coded", timeout: params.timeout, env: { HERE: env.HERE ?? "" }, steps: [{ run: execSync("pwd").toString() }], tasks };
});
`,
    );
    const cli = startCli(fake, ["run", file, "a", "b", "--async", "--json"], { env: { HERE: "there" } });
    expect(await cli.end()).toBe(0);
    expect(JSON.parse(cli.stdout)).toMatchObject({ job: fake.jobs[0]?.id });
    expect(cli.stderr).toContain("for people");
    const submit = fake.requests.find(({ method }) => method === "POST");
    const steps = [{ entry: { run: `${await realpath(folder)}\n` } }];
    expect(JSON.parse(submit?.body ?? "")).toMatchObject({
      spec: { name: "coded", env: { HERE: "there" }, steps, tasks: [{ name: "a" }, { name: "b" }] },
    });
    const stopped = startCli(fake, ["run", file, "-p", "stop=me"]);
    expect(await stopped.end()).toBe(2);
    expect(stopped.stderr).toMatch(/job\.ts:7:\d+ Error: stopped by me\n {2}7 \| {3}if \(params\.stop\)/);
  });

  it("prints the id alone on stdout with --async and does not wait", async () => {
    const cli = startCli(fake, ["run", jobFile, "--async"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe(`${fake.jobs[0]?.id}\n`);
    expect(cli.stderr).toContain(`sluice watch ${fake.jobs[0]?.id}`);
  });

  it("prints job and url as one JSON document with --async --json", async () => {
    const cli = startCli(fake, ["run", jobFile, "--async", "--json"]);
    expect(await cli.end()).toBe(0);
    const job = fake.jobs[0]?.id;
    expect(JSON.parse(cli.stdout)).toEqual({ job, url: `${fake.url}/jobs/${job}` });
    expect(cli.stdout.trimEnd()).not.toContain("\n");
  });

  it("prints every event and a summary, and nothing else, on stdout with --json", async () => {
    fake.onSubmit = (job) => endTasks(job, { lint: "skipped" });
    const cli = startCli(fake, ["run", jobFile, "--json"]);
    expect(await cli.end()).toBe(0);
    const [submitted, ...rest] = readJsonLines(cli.stdout);
    const summary = rest.pop();
    expect(submitted).toEqual({ job: fake.jobs[0]?.id, url: expect.any(String) });
    expect(rest.map((event) => (event as JobEvent).seq)).toEqual(fake.jobs[0]?.events.map(({ seq }) => seq));
    expect(summary).toMatchObject({ type: "summary", status: "completed", counts: { completed: 2, skipped: 1 } });
  });

  it("sends a submit again with the same key when the answer was lost, and makes one job", async () => {
    fake.fail({ method: "POST", path: /jobs$/, cutAnswer: true });
    fake.fail({ method: "POST", path: /jobs$/, code: "unavailable" });
    fake.onSubmit = (job) => endTasks(job);
    const cli = startCli(fake, ["run", jobFile]);
    expect(await cli.end()).toBe(0);
    const keys = fake.requests
      .filter(({ method }) => method === "POST")
      .map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(fake.jobs).toHaveLength(1);
  });

  it("resolves a job without sending anything with --dry-run", async () => {
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    await writeJob("Dockerfile", "FROM scratch\n");
    const cli = startCli(fake, ["run", "-n", file, "--json"]);
    expect(await cli.end()).toBe(0);
    expect(JSON.parse(cli.stdout)).toMatchObject({
      name: "built",
      steps: [{ kind: "container", build: { dockerfile: "./Dockerfile", context: "." } }],
    });
    expect(fake.requests).toHaveLength(0);
    const human = startCli(fake, ["run", "-n", file]);
    expect(await human.end()).toBe(0);
    expect(human.stdout).toContain("name: built\n");
  });

  it("shows the logs of all tasks with --follow, each line once and with its task's name", async () => {
    fake.onSubmit = (job) => {
      for (const task of ["unit", "smoke"]) {
        job.move(task, "running");
        for (let line = 0; line < 50; line++) job.log(task, `line ${line}`, line % 2 ? "stderr" : "stdout");
      }
      endTasks(job);
    };
    const file = await writeJob("two.yaml", "name: two\nsteps: [{ run: x }]\ntasks: [unit, smoke]\n");
    const cli = startCli(fake, ["run", file, "--follow"]);
    expect(await cli.end()).toBe(0);
    for (const task of ["unit", "smoke"]) {
      const lines = cli.stdout.split("\n").filter((line) => line.startsWith(task) && line.includes("│"));
      expect(lines.map((line) => line.replace(/.*│ /, ""))).toEqual(
        Array.from({ length: 50 }, (_, line) => `line ${line}`),
      );
    }
  });

  it("fetches the artifacts with -o before it says how the job ended", async () => {
    fake.onSubmit = (job) => {
      job.addArtifact("unit", createFakeArtifact("unit.tar.zst", Buffer.from("archive")));
      endTasks(job, { smoke: "failed" });
    };
    const cli = startCli(fake, ["run", jobFile, "-o", "out"], { cwd: folder });
    expect(await cli.end()).toBe(1);
    expect(await readFile(join(folder, "out", "unit.tar.zst"), "utf8")).toBe("archive");
    expect(cli.stdout).toContain("1 artifact, 7 B, in out\n");
    expect(lastLine(cli.stdout)).toMatch(/: failed, /);
  });

  it("does not exit with 0 when the job completed and its artifacts could not be fetched", async () => {
    fake.onSubmit = (job) => {
      const artifact = createFakeArtifact("unit.tar.zst", Buffer.from("archive"));
      job.addArtifact("unit", { ...artifact, sha256: "0".repeat(64) });
      endTasks(job);
    };
    const cli = startCli(fake, ["run", jobFile, "-o", "out"], { cwd: folder });
    expect(await cli.end()).toBe(1);
    expect(cli.stderr).toContain("unit.tar.zst could not be fetched");
    expect(lastLine(cli.stdout)).toMatch(/: completed, /);
    expect(await readdir(join(folder, "out"))).toEqual([]);
  });
});

describe("a job file that cannot be run", () => {
  it("is told with all its problems and places, and exit code 2", async () => {
    const file = await writeJob("bad.yaml", "name: hello\nsteps: [{ run: x, tiemout: 5s }]\ntasks: []\n");
    const cli = startCli(fake, ["run", file]);
    expect(await cli.end()).toBe(2);
    expect(cli.stderr).toMatch(/bad\.yaml:2:\d+ .*tiemout/);
    expect(cli.stderr).toMatch(/bad\.yaml:3:\d+ .*tasks/);
    expect(cli.stdout).toBe("");
    expect(fake.requests).toHaveLength(0);
  });

  it.each([
    ["missing.yaml", "there is no such file"],
    [".", "it is a folder"],
    ["missing.ts", "there is no such file"],
  ])("is told when it is %s", async (name, words) => {
    const cli = startCli(fake, ["run", name], { cwd: folder });
    expect(await cli.end()).toBe(2);
    expect(cli.stderr).toContain(words);
  });

  it("is told when a parameter has no value", async () => {
    const cli = startCli(fake, ["run", jobFile, "-p", "novalue"]);
    expect(await cli.end()).toBe(2);
    expect(cli.stderr).toContain("NAME=VALUE");
  });

  it("is told with the API's own problems when only the API can see them", async () => {
    fake.fail({ method: "POST", path: /jobs$/, code: "unknown_pool" });
    const cli = startCli(fake, ["run", jobFile]);
    expect(await cli.end()).toBe(2);
  });

  it("is told when its dockerfile is missing, and when there is no Docker", async () => {
    const text = "name: built\nsteps: [{ run: 'true' }, { dockerfile: ./Dockerfile }]\ntasks: [a]\n";
    const file = await writeJob("build.yaml", text);
    const missing = startCli(fake, ["run", file]);
    expect(await missing.end()).toBe(2);
    expect(missing.stderr).toContain("build.yaml:2:40");
    expect(missing.stderr).toContain("steps[1].dockerfile: there is no './Dockerfile'");
    await writeJob("Dockerfile", "FROM scratch\n");
    const noDocker = startCli(fake, ["run", file], { env: { PATH: folder } });
    expect(await noDocker.end()).toBe(2);
    expect(noDocker.stderr).toContain("install Docker");
    const noDaemon = startCli(fake, ["run", file], { env: { DOCKER_HOST: "tcp://127.0.0.1:9" } });
    expect(await noDaemon.end()).toBe(2);
    expect(noDaemon.stderr).toMatch(/Docker does not answer|install Docker/);
    expect(fake.jobs).toHaveLength(0);
  });
});

describe("Ctrl-C", () => {
  it("stops watching with 130 and says how to go on, and the job goes on", async () => {
    fake.onSubmit = (job) => job.move("unit", "running");
    const cli = startCli(fake, ["run", jobFile]);
    await cli.until(/unit running/);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    expect(cli.stderr).toContain(`watch it again: sluice watch ${fake.jobs[0]?.id}`);
    expect(fake.requests.some(({ path }) => path.endsWith("/cancel"))).toBe(false);
  });

  it("cancels the job with --cancel-on-interrupt and sees it to its end", async () => {
    fake.onSubmit = (job) => job.move("unit", "running");
    fake.onCancel = (job) => {
      for (const task of job.tasks.keys()) job.move(task, "aborted");
    };
    const cli = startCli(fake, ["run", jobFile, "--cancel-on-interrupt"]);
    await cli.until(/unit running/);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    expect(fake.jobs[0]?.job.status).toBe("aborted");
    expect(lastLine(cli.stdout)).toMatch(/: aborted, /);
  });

  it("pressed twice ends also a watch whose cancelled job does not end", async () => {
    fake.onSubmit = (job) => job.move("unit", "running");
    const cli = startCli(fake, ["run", jobFile, "--cancel-on-interrupt"]);
    await cli.until(/unit running/);
    cli.signal("SIGINT");
    await cli.until(/press Ctrl-C again/);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    expect(cli.stderr).toContain("is being cancelled");
  });

  it("during a build submits nothing and leaves nothing behind", async () => {
    const file = await writeJob("build.yaml", "name: built\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    await writeJob("Dockerfile", "FROM scratch\n");
    // A docker that never comes to an end stands for a long build.
    await writeFile(join(folder, "docker"), "#!/bin/sh\necho building\nexec sleep 60\n", { mode: 0o755 });
    const env = { PATH: `${folder}:${process.env.PATH}`, TMPDIR: folder };
    const cli = startCli(fake, ["run", file, "-v"], { env });
    await cli.until(/ {2}building/);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
    expect(cli.stderr).toContain("nothing was submitted");
    expect((await readdir(folder)).filter((name) => name.startsWith("sluice-"))).toEqual([]);
    expect(fake.jobs).toHaveLength(0);
  });
});
