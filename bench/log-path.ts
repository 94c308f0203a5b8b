import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createApiClient } from "../shared/api-client/index.ts";
import { readTask, step, submit, waitForJob } from "../test/support/jobs.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { readCpuMs } from "./support/process-stats.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const cliFile = fileURLToPath(new URL("../cli/bin.mjs", import.meta.url));
const million = 1_000_000;
const lineSizes = [100, 20];

interface Sample {
  ours: number;
  bare: number;
  cpuMsPerMegabyte: number;
  /** Megabytes a second of `sluice logs` into a file, with the start of its process. */
  read: number;
}

/**
 * Megabytes a second of a container's output, from the start of its process until everything is in the bucket (with times,
 * in order, a secret masked), against `docker run` without a log driver into a file; the two take turns.
 */
export async function measureLogPath(
  stack: RunningStack,
  options: { image: string; megabytes: number; rounds: number; folder: string },
): Promise<Figure[]> {
  const { image, megabytes, rounds, folder } = options;
  await createApiClient(stack).putSecret("bench/token", randomBytes(18).toString("base64url"));
  const figures: Figure[] = [];
  for (const lineBytes of lineSizes) {
    const script = printScript(lineBytes, megabytes);
    const samples: Sample[] = [];
    for (let round = 0; round < rounds; round++) {
      const startMs = await timeDockerRun(image, "true", join(folder, "output"));
      // Without what it takes to start and remove a container.
      const bareMs = Math.max(1, (await timeDockerRun(image, script, join(folder, "output"))) - startMs);
      samples.push({
        bare: (megabytes * 1000) / bareMs,
        ...(await runLogged(stack, { image, script, megabytes, lineBytes, file: join(folder, "output") })),
      });
    }
    figures.push(...describe(lineBytes, megabytes, samples));
  }
  return figures;
}

function describe(lineBytes: number, megabytes: number, samples: readonly Sample[]): Figure[] {
  const ratio = summarize(samples.map(({ ours, bare }) => ours / bare)).median;
  const rates = samples.map(({ ours, bare }) => `${ours.toFixed(0)} : ${bare.toFixed(0)}`).join(", ");
  const cpu = summarize(samples.map(({ cpuMsPerMegabyte }) => cpuMsPerMegabyte)).median;
  const read = summarize(samples.map(({ read }) => read)).median;
  const what = `${megabytes} MB of ${lineBytes}-byte lines`;
  return [
    {
      name: `${what}, MB/s : docker run > file`,
      value: `${ratio.toFixed(2)} (${rates})`,
      aim: { text: "≥ 0.8", met: ratio >= 0.8 },
    },
    { name: `${what}, CPU of the worker`, value: `${cpu.toFixed(1)} ms per MB` },
    { name: `${what}, read by sluice logs`, value: `${read.toFixed(0)} MB/s` },
  ];
}

/** Prints so many megabytes in writes as large as a pipe takes: what is measured is not who prints. */
function printScript(lineBytes: number, megabytes: number): string {
  const text = "log line ".repeat(lineBytes).slice(0, lineBytes - 1);
  const fill = `yes "${text}" | head -c ${million} > /tmp/lines`;
  return `${fill}; i=0; while [ $i -lt ${megabytes} ]; do cat /tmp/lines; i=$((i+1)); done`;
}

async function timeDockerRun(image: string, script: string, file: string): Promise<number> {
  const output = await open(file, "w");
  try {
    const startedAt = performance.now();
    const args = ["run", "--rm", "--log-driver", "none", image, "sh", "-c", script];
    const [code] = await once(spawn("docker", args, { stdio: ["ignore", output.fd, "inherit"] }), "exit");
    if (code !== 0) throw new Error(`docker run ended with ${code}`);
    return performance.now() - startedAt;
  } finally {
    await output.close();
  }
}

interface LoggedRun {
  image: string;
  script: string;
  megabytes: number;
  lineBytes: number;
  file: string;
}

async function runLogged(
  stack: RunningStack,
  { image, script, megabytes, lineBytes, file }: LoggedRun,
): Promise<Omit<Sample, "bare">> {
  const pid = stack.pids["worker-1"] ?? stack.pids.worker ?? 0;
  const cpuBeforeMs = readCpuMs(pid);
  const jobId = await submit(stack, {
    name: "log-path",
    steps: [step({ run: script }, image)],
    secrets: { TOKEN: "bench/token" },
    tasks: [{ name: "only" }],
  });
  await waitForJob(stack, jobId);
  const [attempt] = (await readTask(stack, jobId, "only")).attempts;
  const startedAt = attempt?.steps?.[0]?.startedAt;
  const lines = attempt?.logs?.[0]?.lines;
  if (startedAt === undefined || attempt?.endedAt === undefined || lines !== (megabytes * million) / lineBytes) {
    throw new Error(`${jobId} kept ${lines} lines: ${JSON.stringify(attempt?.outcome)}`);
  }
  const tookMs = Date.parse(attempt.endedAt) - Date.parse(startedAt);
  const cpuMsPerMegabyte = (readCpuMs(pid) - cpuBeforeMs) / megabytes;
  const readMs = await timeReading(stack, jobId, file, megabytes * million);
  return { ours: (megabytes * 1000) / tookMs, cpuMsPerMegabyte, read: (megabytes * 1000) / readMs };
}

async function timeReading(stack: RunningStack, jobId: string, file: string, bytes: number): Promise<number> {
  const output = await open(file, "w");
  try {
    const startedAt = performance.now();
    const env = { ...process.env, SLUICE_URL: stack.url, SLUICE_TOKEN: stack.token };
    const reader = spawn(process.execPath, [cliFile, "logs", jobId, "only"], {
      env,
      stdio: ["ignore", output.fd, "inherit"],
    });
    const [code] = await once(reader, "exit");
    const { size } = await output.stat();
    if (code !== 0 || size !== bytes) throw new Error(`sluice logs ended with ${code} after ${size} bytes`);
    return performance.now() - startedAt;
  } finally {
    await output.close();
  }
}
