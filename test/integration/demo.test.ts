import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { needDocker } from "../support/docker.ts";

const demo = fileURLToPath(new URL("../../scripts/demo.ts", import.meta.url));
const deadlineMs = 120_000;

/** Runs the demo with a folder of its own for temporary files; answers what it said and what it left there. */
async function runDemo(env: NodeJS.ProcessEnv): Promise<{ code: number; said: string; left: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const options = { env: { ...process.env, TMPDIR: folder, ...env }, timeout: deadlineMs };
  const { code, said } = await new Promise<{ code: number; said: string }>((resolve) => {
    execFile(process.execPath, [demo], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), said: stdout + stderr }),
    );
  });
  const names = await readdir(folder);
  return { code, said, left: names.filter((name) => name.startsWith("sluice-")) };
}

it("runs on host processes without Docker, says so, and leaves nothing", async () => {
  const { code, said, left } = await runDemo({ DOCKER_HOST: "unix:///nonexistent/docker.sock" });
  expect(said).toContain("Docker cannot be reached here: the steps of this demo run as processes");
  expect(said).toMatch(/hello-host-\w+: completed, 3 of 3 tasks in /);
  expect(said).toMatch(/3 artifacts, .* in artifacts\n/);
  expect(said.match(/submitted/g)).toHaveLength(1);
  expect(said).not.toContain("sluice-demo-");
  expect(said.trimEnd()).toMatch(/The demo's job completed \(exit code 0\)\.$/m);
  expect({ code, left }).toEqual({ code: 0, left: [] });
});

it("runs in containers with Docker, fetches the artifacts, and leaves nothing", async (context) => {
  if (!(await needDocker(context))) return;
  const { code, said, left } = await runDemo({});
  for (const task of ["english", "french", "german"]) expect(said).toContain(`${task}.tar.zst`);
  expect(said).toMatch(/hello-\w+: completed, 3 of 3 tasks in /);
  expect({ code, left }).toEqual({ code: 0, left: [] });
});
