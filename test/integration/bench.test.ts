import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const benchFile = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

/** The figures of so short a run mean nothing: what counts is that the benchmarks still measure. */
it("npm run bench -- --short measures the control plane, its requests and artifacts", {
  timeout: 300_000,
}, async () => {
  const bench = spawn(
    process.execPath,
    [benchFile, "--short", "--only", "plane", "--only", "requests", "--only", "artifacts"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let printed = "";
  bench.stdout.on("data", (piece: Buffer) => {
    printed += piece.toString();
  });
  const [code] = (await once(bench, "close")) as [number | null];
  expect({ code, printed }).toMatchObject({ code: 0 });
  expect(printed).toMatch(/bare sqs-consumer, job of 30 .*\d\.\d\d \(/);
  expect(printed).toMatch(/AWS requests per no-op task, job of 1 .*aim ≤ 12: met/);
  expect(printed).toMatch(/packed into the bucket +\d+ MB\/s, \d+\.\d\d × tar/);
  expect(printed).toMatch(/one read of a job of 100 +1\.00 .*aim 1: met/);
});
