import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startCli } from "../support/cli-child.ts";
import { type FakeApi, startFakeApi } from "../support/fake-api.ts";

let fake: FakeApi;
let folder: string;

beforeEach(async () => {
  fake = await startFakeApi();
  folder = await mkdtemp(join(tmpdir(), "sluice-cli-"));
});

afterEach(async () => {
  await fake.close();
  await rm(folder, { recursive: true, force: true });
});

/** The program that gives a command a terminal of its own. */
const terminalProgram = "script";
const failed = { exitCode: 7, reason: { code: "exit_code", detail: "step-1 exited with 7", fault: "user" } } as const;

describe("sluice watch", () => {
  it("follows a job by its changes alone: one read of job and tasks, one stream, one look at the end", async () => {
    const job = fake.addJob("hello", ["a", "b"]);
    job.move("a", "running");
    const cli = startCli(fake, ["watch", job.id]);
    await cli.until(/a running/);
    job.move("a", "completed");
    job.move("b", "running");
    job.move("b", "failed", failed);
    expect(await cli.end()).toBe(1);
    const asked = fake.requests.map(({ path }) => path.replace(`/v1/jobs/${job.id}`, ""));
    expect(asked).toEqual(["", "/tasks", "/events", ""]);
    expect(cli.stderr).toMatch(/❌ b failed after .*: step-1 exited with 7/);
  });

  it("misses nothing and repeats nothing when connections break", async () => {
    const names = Array.from({ length: 20 }, (_, index) => `t${index}`);
    const job = fake.addJob("hello", names);
    for (const cutAfterMessages of [1, 0, 7, 11]) fake.fail({ path: /events$/, cutAfterMessages });
    const cli = startCli(fake, ["watch", job.id, "--json"]);
    for (const name of names) {
      job.move(name, "running");
      job.move(name, "completed");
    }
    expect(await cli.end()).toBe(0);
    const lines = cli.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.pop()).toMatchObject({ type: "summary", counts: { completed: 20 } });
    expect(lines.map(({ seq }) => seq)).toEqual(job.events.map(({ seq }) => seq));
    const resumed = fake.requests
      .filter(({ path }) => path.endsWith("/events"))
      .map(({ headers }) => headers["last-event-id"]);
    expect(resumed.slice(0, 2)).toEqual([undefined, "1"]);
  });

  it("survives a control plane that is away for a while", async () => {
    const job = fake.addJob("hello", ["a"]);
    job.move("a", "running");
    for (let times = 0; times < 3; times++) fake.fail({ path: /events$/, code: "unavailable" });
    const cli = startCli(fake, ["watch", job.id]);
    await cli.until(/connected again/);
    job.move("a", "completed");
    expect(await cli.end()).toBe(0);
    expect(cli.stderr.match(/connection lost/g)).toHaveLength(1);
  });

  it("tells at once how a job ended that has ended already", async () => {
    const job = fake.addJob("hello", ["a", "b"]);
    for (const task of ["a", "b"]) {
      job.move(task, "running");
      job.move(task, "failed", failed);
    }
    const cli = startCli(fake, ["watch", job.id]);
    expect(await cli.end()).toBe(1);
    expect(cli.stdout.trimEnd().split("\n").at(-1)).toMatch(/: failed, 2 of 2 tasks failed in /);
  });

  it("prints the last line only with -q", async () => {
    const job = fake.addJob("hello", ["a"]);
    job.move("a", "running");
    job.move("a", "failed", failed);
    const cli = startCli(fake, ["watch", job.id, "-q"]);
    expect(await cli.end()).toBe(1);
    expect(cli.stdout).toMatch(/^hello-\w+: failed, 1 of 1 task failed in [\d.]+ s\n$/);
    expect(cli.stderr).toBe("");
  });

  it("draws in place on a terminal and leaves the summary there", async (context) => {
    const hasScript = spawnSync(terminalProgram, ["--version"]).status === 0;
    if (!hasScript) {
      console.warn("SKIPPED: no `script` command here to make a terminal with");
      return context.skip();
    }
    const job = fake.addJob("hello", ["a", "b"]);
    job.move("a", "running");
    const command = `stty cols 70 rows 12; ${process.execPath} cli/bin.mjs watch ${job.id}`;
    const ended = runInTerminal(command, fake, (text) => {
      if (!/▶.*a/.test(text) || job.tasks.get("a")?.status !== "running") return;
      job.move("a", "completed");
      job.move("b", "running");
      job.move("b", "failed", failed);
    });
    const { text, code } = await ended;
    expect(code).toBe(1);
    expect(text).toContain("\u001b[?25l");
    const rest = text.slice(text.indexOf("\u001b[?25h"));
    expect(rest).toContain("failed, 1 of 2 tasks failed");
  });
});

/** Runs a command on a terminal and tells what it showed there, each time there is more and at the end. */
function runInTerminal(
  command: string,
  { url, token }: FakeApi,
  onText: (text: string) => void,
): Promise<{ text: string; code: number | null }> {
  const child = spawn(terminalProgram, ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...process.env, SLUICE_URL: url, SLUICE_TOKEN: token, TERM: "xterm-256color" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  child.stdout.on("data", (data: Buffer) => {
    text += data.toString();
    onText(text);
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ text, code }));
  });
}

describe("sluice ps, show and cancel", () => {
  it("list jobs newest first, filtered and page by page", async () => {
    for (let index = 0; index < 130; index++) fake.addJob(index % 2 ? "odd" : "even", ["a"]);
    const first = startCli(fake, ["ps", "--limit", "2"]);
    expect(await first.end()).toBe(0);
    const ids = fake.jobs.map(({ id }) => id);
    expect(
      first.stdout
        .split("\n")
        .slice(1, 3)
        .map((line) => line.split(" ")[0]),
    ).toEqual(ids.slice(0, 2));
    expect(first.stderr).toContain("--all");
    const all = startCli(fake, ["ps", "--name", "odd", "--status", "queued", "--all", "--json"]);
    expect(await all.end()).toBe(0);
    expect(JSON.parse(all.stdout)).toMatchObject({ more: false, jobs: { length: 65 } });
  });

  it("say that there are no jobs yet", async () => {
    const cli = startCli(fake, ["ps"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe("");
    expect(cli.stderr).toContain("no jobs yet");
  });

  it("show everything about a job, and as JSON the API's own words with the tasks", async () => {
    const job = fake.addJob("hello", ["a", "b", "c"]);
    job.move("a", "running");
    job.move("a", "failed", failed);
    job.requestCancel("cancelled by ann");
    const human = startCli(fake, ["show", job.id]);
    expect(await human.end()).toBe(0);
    expect(human.stdout).toMatch(/❌ +a +failed .* step-1 exited with 7/);
    expect(human.stdout).toContain("cancelled by ann");
    const json = startCli(fake, ["show", job.id, "--json"]);
    expect(await json.end()).toBe(0);
    const shown = JSON.parse(json.stdout);
    expect(shown).toMatchObject({ ...job.job, tasks: { length: 3 } });
    expect(shown.counts).toMatchObject({ failed: 1, queued: 2 });
  });

  it("read all pages of a large job and leave completed tasks out unless asked", async () => {
    const names = Array.from({ length: 2_500 }, (_, index) => `t${index}`);
    const job = fake.addJob("big", names);
    for (const name of names) {
      job.move(name, "running");
      job.move(name, name === "t1999" ? "failed" : "completed", name === "t1999" ? failed : {});
    }
    const some = startCli(fake, ["show", job.id]);
    expect(await some.end()).toBe(0);
    expect(some.stdout).toContain("t1999");
    expect(some.stdout).toContain("… and 2,499 completed");
    const all = startCli(fake, ["show", job.id, "--all"]);
    expect(await all.end()).toBe(0);
    expect(all.stdout.split("\n").filter((line) => / t\d+ /.test(line))).toHaveLength(2_500);
  });

  it("show one task with its attempts", async () => {
    const job = fake.addJob("hello", ["a"]);
    job.move("a", "running", { workerId: "w-1" });
    job.move("a", "queued");
    job.move("a", "running", { workerId: "w-2" });
    const cli = startCli(fake, ["show", job.id, "a"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toMatch(/attempt 1 .* on w-1/);
    expect(cli.stdout).toMatch(/attempt 2 {2}running .* on w-2/);
  });

  it("cancel a job or a task, and say when there is nothing left to cancel", async () => {
    const job = fake.addJob("hello", ["a", "b"]);
    const task = startCli(fake, ["cancel", job.id, "a"]);
    expect(await task.end()).toBe(0);
    expect(job.tasks.get("a")?.status).toBe("aborted");
    const again = startCli(fake, ["cancel", job.id, "a"]);
    expect(await again.end()).toBe(0);
    expect(again.stdout).toContain("has ended already");
    const whole = startCli(fake, ["cancel", job.id, "--json"]);
    expect(await whole.end()).toBe(0);
    expect(JSON.parse(whole.stdout)).toEqual({ job: job.id, status: "cancelling" });
  });
});

describe("sluice retry", () => {
  it("runs failed tasks again and says which; the job can be watched again", async () => {
    const job = fake.addJob("hello", ["a", "b", "c"]);
    for (const [task, to] of Object.entries({ a: "failed", b: "completed", c: "timed_out" } as const)) {
      job.move(task, "running");
      job.move(task, to);
    }
    const retry = startCli(fake, ["retry", job.id]);
    expect(await retry.end()).toBe(0);
    expect(retry.stdout).toBe(`retrying 2 tasks of ${job.id}: a, c\n`);
    expect(retry.stderr).toContain(`watch ${job.id}`);
    const watch = startCli(fake, ["watch", job.id]);
    for (const task of ["a", "c"]) {
      job.move(task, "running");
      job.move(task, "completed");
    }
    expect(await watch.end()).toBe(0);
    expect(watch.stdout).toContain("completed, 3 of 3 tasks");
  });

  it("takes names, prints JSON, and tells what is refused by its exit code", async () => {
    const job = fake.addJob("hello", ["a", "b"]);
    for (const task of ["a", "b"]) job.move(task, "completed");
    const named = startCli(fake, ["retry", job.id, "b", "--json"]);
    expect(await named.end()).toBe(0);
    expect(JSON.parse(named.stdout)).toEqual({ job: job.id, status: "retrying", tasks: ["b"], dependants: 0 });
    const nothing = startCli(fake, ["retry", job.id]);
    expect(await nothing.end()).toBe(2);
    expect(nothing.stderr).toContain("no task of");
    const unknown = startCli(fake, ["retry", job.id, "x"]);
    expect(await unknown.end()).toBe(5);
  });
});

describe("what goes wrong", () => {
  it.each([
    [["watch", "nope"]],
    [["show", "nope"]],
    [["logs", "nope", "a"]],
    [["logs", "nope", "a", "-f"]],
    [["artifact", "nope", "-o", "out"]],
    [["cancel", "nope"]],
    [["retry", "nope"]],
  ])("an unknown job is exit code 5: %j", async (args) => {
    const cli = startCli(fake, args, { cwd: folder });
    expect(await cli.end()).toBe(5);
    expect(cli.stderr).toBe("error: there is no job nope\n");
    expect(cli.stdout).toBe("");
  });

  it("an unknown task is exit code 5", async () => {
    const job = fake.addJob("hello", ["a"]);
    for (const args of [
      ["logs", job.id, "b"],
      ["show", job.id, "b"],
      ["cancel", job.id, "b"],
    ]) {
      const cli = startCli(fake, args);
      expect(await cli.end()).toBe(5);
      expect(cli.stderr).toContain("has no task b");
    }
  });

  it("a wrong token is exit code 4 and says what to do, without showing the token", async () => {
    const cli = startCli(fake, ["ps"], { env: { SLUICE_TOKEN: "wrong-token" } });
    expect(await cli.end()).toBe(4);
    expect(cli.stderr).toContain("SLUICE_TOKEN");
    expect(cli.stderr).not.toContain("wrong-token");
  });

  it("nobody listening is exit code 4 and says how to start the local stack, at once", async () => {
    await fake.close();
    const cli = startCli(undefined, ["ps", "--url", fake.url]);
    expect(await cli.end()).toBe(4);
    expect(cli.stderr).toBe(
      `error: cannot reach ${fake.url}: is the local stack running? Start it with \`sluice dev\`\n`,
    );
    fake = await startFakeApi();
  });

  it("another server on the port is exit code 4, not a job that is not found", async () => {
    const other = createServer((_request, response) => response.writeHead(404).end("<html>"));
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
    const cli = startCli(undefined, [
      "show",
      "x",
      "--url",
      `http://127.0.0.1:${(other.address() as AddressInfo).port}`,
    ]);
    expect(await cli.end()).toBe(4);
    expect(cli.stderr).toContain("is the URL right?");
    await new Promise((done) => other.close(done));
  });

  it("a control plane that keeps failing is exit code 4 and names the request", async () => {
    for (let times = 0; times < 4; times++) fake.fail({ path: /jobs$/, code: "internal" });
    const cli = startCli(fake, ["ps"]);
    expect(await cli.end()).toBe(4);
    expect(cli.stderr).toContain("req-1");
  });

  it.each([
    [["frobnicate"]],
    [["ps", "--limit", "many"]],
    [["ps", "--status", "odd"]],
    [["show"]],
    [["artifact", "j"]],
    [[]],
  ])("wrong usage is exit code 2: %j", async (args) => {
    const cli = startCli(fake, args);
    expect(await cli.end()).toBe(2);
    expect(cli.stdout).toBe("");
    expect(cli.stderr).not.toBe("");
  });

  it("help that was asked for is exit code 0 on stdout", async () => {
    const cli = startCli(fake, ["run", "--help"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toContain("--abort-on-failure");
  });

  it("an old Node is one sentence and exit code 2", async (context) => {
    const old = ["/usr/bin/node", "/usr/local/bin/node"].find((node) => {
      const { stdout } = existsSync(node) ? spawnSync(node, ["--version"], { encoding: "utf8" }) : { stdout: "" };
      return /^v(1\d|2[0-3])\./.test(stdout);
    });
    if (old === undefined) {
      console.warn("SKIPPED: no Node older than 24 here to try");
      return context.skip();
    }
    const cli = startCli(fake, ["version"], { node: old });
    expect(await cli.end()).toBe(2);
    expect(cli.stderr).toMatch(/^sluice needs Node 24 or newer[^\n]*\n$/);
  });
});

describe("the local stack's own folder", () => {
  it("is all that a command in it or below it needs", async () => {
    fake.addJob("hello", ["a"]);
    await mkdir(join(folder, ".sluice"));
    await mkdir(join(folder, "deeper"));
    await writeFile(
      join(folder, ".sluice", "stack.json"),
      JSON.stringify({ url: fake.url, token: fake.token, pid: 1 }),
    );
    const cli = startCli(undefined, ["ps"], { cwd: join(folder, "deeper") });
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toContain("hello-");
  });
});

describe("commands that need no control plane", () => {
  it("tell version, schema and whether a job file is valid", async () => {
    const version = startCli(undefined, ["version"]);
    expect(await version.end()).toBe(0);
    expect(version.stdout).toMatch(/^sluice \d+\.\d+\.\d+\n$/);
    const schema = startCli(undefined, ["schema"]);
    expect(await schema.end()).toBe(0);
    expect(JSON.parse(schema.stdout)).toMatchObject({ type: "object", properties: { tasks: {} } });
    const types = startCli(undefined, ["schema", "--types"]);
    expect(await types.end()).toBe(0);
    expect(types.stdout).toContain('declare module "sluice" {');
    const file = join(folder, "job.yaml");
    await writeFile(file, "name: hello\nsteps: [{ run: x }]\ntasks: [a, b]\n");
    const valid = startCli(undefined, ["validate", file]);
    expect(await valid.end()).toBe(0);
    expect(valid.stdout).toContain("is valid: job hello, 2 tasks, 1 step");
    await writeFile(file, "name: hello\nsteps: [{ run: x }]\ntasks: [a, a]\n");
    const invalid = startCli(undefined, ["validate", file]);
    expect(await invalid.end()).toBe(2);
    expect(invalid.stderr).toMatch(/job\.yaml:3:\d+/);
    const json = startCli(undefined, ["validate", file, "--json"]);
    expect(await json.end()).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: false, problems: [{ line: 3, path: "tasks[1]" }] });
  });
});
