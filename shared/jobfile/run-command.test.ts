import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CommandRunnerOptions, createCommandRunner } from "./run-command.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-run-command-"));
  await writeFile(join(folder, "data.txt"), "from the folder\n");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function run(script: string, options: Partial<CommandRunnerOptions> = {}) {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  return createCommandRunner({ folder, env, ...options })("bash", ["-c", script]);
}

/** Waits until a process is gone, by its id. */
async function waitUntilGone(pid: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`process ${pid} is still there`);
}

describe("createCommandRunner", () => {
  it("runs in the job file's folder with the given environment", async () => {
    expect(await run('cat data.txt; echo "$GREETING"', { env: { PATH: "/usr/bin:/bin", GREETING: "hi" } })).toEqual({
      ok: true,
      stdout: "from the folder\nhi\n",
    });
  });

  it("gives commands no input to wait for", async () => {
    expect(await run("cat")).toEqual({ ok: true, stdout: "" });
  });

  it("tells the exit code and the last lines of what a command complained", async () => {
    const result = await run("seq 1 9 >&2; exit 7");
    expect(result).toEqual({ ok: false, message: "exited with 7: 7 / 8 / 9" });
  });

  it("tells the signal that ended a command", async () => {
    expect(await run("kill -TERM $$")).toEqual({ ok: false, message: "was ended by SIGTERM" });
  });

  it("tells that a program does not exist or is not executable", async () => {
    const runCommand = createCommandRunner({ folder, env: {} });
    expect(await runCommand("no-such-program", [])).toMatchObject({
      ok: false,
      message: /no program 'no-such-program'/,
    });
    expect(await runCommand("./data.txt", [])).toMatchObject({ ok: false, message: /not executable/ });
  });

  it("ends a command and everything it started when it takes too long", async () => {
    const result = await run("sleep 1000 & echo $! > pid; wait", { timeoutMs: 400 });
    expect(result).toEqual({ ok: false, message: "took longer than 0.4 s and was ended" });
    await waitUntilGone(Number(await readFile(join(folder, "pid"), "utf8")));
  });

  it("does not wait for a process that left the group and holds the output", async () => {
    const result = await run("setsid sleep 1 & echo started", { timeoutMs: 300 });
    expect(result).toMatchObject({ ok: false, message: /took longer/ });
  });

  it("bounds what a command prints", async () => {
    expect(await run("yes", { maxOutputBytes: 1000 })).toEqual({ ok: false, message: "printed more than 1000 bytes" });
  });

  it("ends a command when it is interrupted, and starts none afterwards", async () => {
    const controller = new AbortController();
    const running = run("sleep 1000", { signal: controller.signal });
    controller.abort();
    expect(await running).toEqual({ ok: false, message: "was interrupted" });
    expect(await run("true", { signal: controller.signal })).toEqual({ ok: false, message: "was interrupted" });
  });

  it("tells that arguments are too long for any program", async () => {
    expect(await run("x".repeat(3_000_000))).toMatchObject({ ok: false, message: /^cannot start/ });
  });
});
