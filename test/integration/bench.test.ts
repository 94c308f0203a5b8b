import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { needDocker } from "../support/docker.ts";

const benchFile = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));
const timeout = 300_000;

/** The figures of so short a run mean nothing: what counts is that the benchmarks still measure. */
async function measureShortly(...parts: string[]): Promise<string> {
  const only = parts.flatMap((part) => ["--only", part]);
  const bench = spawn(process.execPath, [benchFile, "--short", ...only], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  bench.stdout.on("data", (piece: Buffer) => {
    printed += piece.toString();
  });
  const [code] = (await once(bench, "close")) as [number | null];
  expect({ code, printed }).toMatchObject({ code: 0 });
  return printed;
}

it("npm run bench -- --short measures the control plane, its requests and artifacts", { timeout }, async () => {
  const printed = await measureShortly("plane", "requests", "artifacts");
  expect(printed).toMatch(/bare sqs-consumer, job of 30 .*\d\.\d\d \(/);
  expect(printed).toMatch(/AWS requests per no-op task, job of 1 .*aim ≤ 12: met/);
  expect(printed).toMatch(/packed into the bucket +\d+ MB\/s, \d+\.\d\d × tar/);
  expect(printed).toMatch(/one read of a job of 100 +1\.00 .*aim 1: met/);
});

it("npm run bench -- --short measures the end of a worker", { timeout }, async () => {
  const printed = await measureShortly("drain");
  expect(printed).toMatch(/SIGTERM with 16 tasks that take 3 s to upload → exit +\d+\.\d s, \d+\.\d\d × one alone/);
});

it("npm run bench -- --short measures what an image costs that is shipped again, and sampling", {
  timeout,
}, async (context) => {
  if (!(await needDocker(context))) return;
  const printed = await measureShortly("images", "sampling");
  expect(printed).toMatch(/change of one line: bytes sent .*aim ≤ 1\.1 ×: met/);
  expect(printed).toMatch(/sampling 3 containers every 5 s: CPU of the worker +\d+\.\d\d % of a core/);
});
