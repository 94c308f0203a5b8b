import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startCli } from "../support/cli-child.ts";
import { type FakeApi, startFakeApi } from "../support/fake-api.ts";
import type { FakeJob } from "../support/fake-job.ts";

let fake: FakeApi;
let job: FakeJob;

beforeEach(async () => {
  fake = await startFakeApi();
  job = fake.addJob("hello", ["unit"]);
});

afterEach(() => fake.close());

function logLines(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    const text = `line ${from + index}`;
    job.log("unit", text, index % 3 ? "stdout" : "stderr");
    return text;
  });
}

describe("sluice logs", () => {
  it("prints every line once and in order, both streams, over many pages", async () => {
    job.move("unit", "running");
    const lines = logLines(12_000);
    job.move("unit", "completed");
    const cli = startCli(fake, ["logs", job.id, "unit"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe(`${lines.join("\n")}\n`);
  });

  it("fetches what it prints from the store, once, and by a new link where one has ended", async () => {
    job.move("unit", "running");
    const lines = logLines(3);
    fake.fail({ path: /\/store\/.*\/log-/, code: "forbidden" });
    const cli = startCli(fake, ["logs", job.id, "unit", "--lines", "2-"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe(`${lines.slice(1).join("\n")}\n`);
    const asked = fake.requests
      .filter(({ path }) => /\/logs|\/store/.test(path))
      .map(({ path }) => path.split("/").at(-1));
    expect(asked).toEqual(["chunks", "log-3", "chunks", "log-3"]);
    for (let tries = 0; tries < 4; tries++) fake.fail({ path: /\/store\/.*\/log-/, code: "forbidden" });
    const refused = startCli(fake, ["logs", job.id, "unit"]);
    expect(await refused.end()).toBe(1);
    expect(refused.stderr).toContain("a part of this log could not be fetched: the store answered 403");
  });

  it("prints the last lines only with -n, and times with --timestamps", async () => {
    job.move("unit", "running");
    logLines(10);
    const cli = startCli(fake, ["logs", job.id, "unit", "-n", "2", "--timestamps"]);
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z line 8\n\d{4}-\d\d-\d\dT[\d:.]+Z line 9\n$/);
    // Another request would bring what the task has written since.
    expect(fake.requests.filter(({ path }) => path.endsWith("/logs"))).toHaveLength(1);
  });

  it("prints nothing, and says nothing, with -n 0", async () => {
    job.move("unit", "running");
    logLines(3);
    const cli = startCli(fake, ["logs", job.id, "unit", "-n", "0"]);
    expect(await cli.end()).toBe(0);
    expect({ stdout: cli.stdout, stderr: cli.stderr }).toEqual({ stdout: "", stderr: "" });
  });

  it("exits with 5 and the API's sentence for a step that the task does not have", async () => {
    job.move("unit", "running");
    fake.fail({ path: /logs\/chunks$/, code: "not_found" });
    const cli = startCli(fake, ["logs", job.id, "unit", "--step", "9"]);
    expect(await cli.end()).toBe(5);
    expect(cli.stderr).toMatch(/^error: .+\n$/);
  });

  it("asks for the step and the attempt that were named", async () => {
    job.move("unit", "running");
    logLines(1);
    expect(await startCli(fake, ["logs", job.id, "unit", "--step", "2", "--attempt", "1"]).end()).toBe(0);
    const asked = fake.requests.find(({ path }) => path.endsWith("/logs/chunks"));
    expect(Object.fromEntries(asked?.query ?? [])).toMatchObject({ step: "2", attempt: "1" });
    const cli = startCli(fake, ["logs", job.id, "unit", "--attempt", "7"]);
    expect(await cli.end()).toBe(5);
    expect(cli.stderr).toContain("unit has no attempt 7: it had 1");
  });

  it("asks for the service that was named, and says where it has written nothing", async () => {
    job.move("unit", "running");
    const empty = startCli(fake, ["logs", job.id, "unit", "--service", "redis"]);
    expect(await empty.end()).toBe(0);
    expect(empty.stderr).toContain("unit's service redis has written nothing yet");
    const asked = fake.requests.find(({ path }) => path.endsWith("/logs/chunks"));
    expect(Object.fromEntries(asked?.query ?? [])).toMatchObject({ service: "redis" });
    const both = startCli(fake, ["logs", job.id, "unit", "--service", "redis", "--step", "1"]);
    expect(await both.end()).toBe(2);
    expect(both.stderr).toContain("--step and --service exclude each other");
  });

  it("asks for the lines, the time or the bytes that were named", async () => {
    job.move("unit", "running");
    logLines(3);
    const askFor = async (...args: string[]) => {
      const cli = startCli(fake, ["logs", job.id, "unit", ...args]);
      const exitCode = await cli.end();
      const asked = fake.requests.findLast(
        ({ path, query }) => /\/logs(\/chunks)?$/.test(path) && !query.has("cursor"),
      );
      return { exitCode, cli, query: asked?.query, range: asked?.headers.range };
    };
    expect((await askFor("--lines", "2-3")).query?.get("lines")).toBe("1-2");
    expect((await askFor("--since", "2026-01-31T12:00:00Z")).query?.get("since")).toBe("2026-01-31T12:00:00.000Z");
    const bytes = await askFor("--bytes", "2-9");
    expect([bytes.range, bytes.cli.stdout, bytes.exitCode]).toEqual(["bytes=2-9", "ne 0\nlin", 0]);
    const wrong = await askFor("--lines", "3-2");
    expect([wrong.exitCode, wrong.cli.stderr]).toEqual([2, expect.stringContaining('--lines "3-2" is no range')]);
  });

  it("says where the end of a log is missing because its worker was lost", async () => {
    job.move("unit", "running");
    logLines(1);
    job.move("unit", "failed");
    const rescue = { at: "2026-01-01T00:00:00Z", leaseUntil: "2026-01-01T00:00:00Z" };
    const task = job.tasks.get("unit");
    task?.attempts.splice(0, 1, { attempt: 1, workerId: "w", claimedAt: rescue.at, endedAt: rescue.at, rescue });
    for (const args of [[], ["-f"]]) {
      const cli = startCli(fake, ["logs", job.id, "unit", ...args]);
      expect(await cli.end()).toBe(0);
      expect(cli.stdout).toBe("line 0\n");
      expect(cli.stderr.match(/the end of this log is missing: attempt 1 of unit was lost/g)).toHaveLength(1);
    }
  });

  it("says that a task has not started yet, or ended before it could", async () => {
    const queued = startCli(fake, ["logs", job.id, "unit"]);
    expect(await queued.end()).toBe(0);
    expect(queued.stderr).toContain("unit has not started yet (queued)");
    job.move("unit", "aborted", { reason: { code: "cancelled", detail: "cancelled by ann", fault: "user" } });
    for (const args of [[], ["-f"]]) {
      const ended = startCli(fake, ["logs", job.id, "unit", ...args]);
      expect(await ended.end()).toBe(0);
      expect(ended.stderr).toContain("unit has no log: it ended before it started, aborted: cancelled by ann");
    }
  });

  it("prints JSON lines with --json and nothing else on stdout", async () => {
    job.move("unit", "running");
    logLines(3);
    job.move("unit", "completed");
    for (const args of [[], ["-f"]]) {
      const cli = startCli(fake, ["logs", job.id, "unit", "--json", ...args]);
      expect(await cli.end()).toBe(0);
      const lines = cli.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(lines).toMatchObject([0, 1, 2].map((line) => ({ attempt: 1, line, text: `line ${line}` })));
    }
  });

  it("stops when its reader has gone", async () => {
    job.move("unit", "running");
    const cli = startCli(fake, ["logs", job.id, "unit", "-f"]);
    logLines(1);
    await cli.until(/line 0/);
    cli.closeStdout();
    const timer = setInterval(() => logLines(1), 20);
    expect(await cli.end()).toBe(0);
    clearInterval(timer);
  });
});

describe("sluice logs -f", () => {
  it("shows lines as they come, each once, through broken connections, and ends with the task", async () => {
    job.move("unit", "running");
    for (const cutAfterMessages of [3, 0, 10]) fake.fail({ path: /logs$/, cutAfterMessages });
    const lines = logLines(20);
    const cli = startCli(fake, ["logs", job.id, "unit", "-f"]);
    await cli.until(/line 19\n/);
    lines.push(...logLines(20, 20));
    await cli.until(/line 39\n/);
    job.move("unit", "completed");
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe(`${lines.join("\n")}\n`);
    expect(cli.stderr).toContain("✅ unit completed");
  });

  it("waits for a task to start", async () => {
    const cli = startCli(fake, ["logs", job.id, "unit", "-f"]);
    await cli.until(/has not started yet/);
    job.move("unit", "running");
    logLines(1);
    await cli.until(/line 0/);
    job.move("unit", "completed");
    expect(await cli.end()).toBe(0);
    expect(cli.stderr.match(/has not started yet/g)).toHaveLength(1);
  });

  it("ends when a task that waits is cancelled", async () => {
    const cli = startCli(fake, ["logs", job.id, "unit", "-f"]);
    await cli.until(/has not started yet/);
    job.move("unit", "aborted");
    expect(await cli.end()).toBe(0);
  });

  it("begins with the last lines and goes on from there with -n", async () => {
    job.move("unit", "running");
    logLines(10);
    const cli = startCli(fake, ["logs", job.id, "unit", "-f", "-n", "1"]);
    await cli.until(/line 9/);
    logLines(1, 10);
    job.move("unit", "completed");
    expect(await cli.end()).toBe(0);
    expect(cli.stdout).toBe("line 9\nline 10\n");
  });

  it("ends with 130 on Ctrl-C", async () => {
    job.move("unit", "running");
    logLines(1);
    const cli = startCli(fake, ["logs", job.id, "unit", "-f"]);
    await cli.until(/line 0/);
    cli.signal("SIGINT");
    expect(await cli.end()).toBe(130);
  });
});
