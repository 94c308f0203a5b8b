import { randomBytes } from "node:crypto";
import { StepLog } from "../workers/logs/step-log.ts";
import { maskOutput } from "../workers/masking/masked-output.ts";
import { SecretMatcher } from "../workers/masking/secret-matcher.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const lineBytes = 100;
const readBytes = 64 * 1024;
const million = 1_000_000;

/** CPU of the way of a log (cutting into lines, compressing, without the bucket) with masking and without. */
export async function measureMasking(megabytes: number, rounds: number): Promise<Figure[]> {
  const tokens = Array.from({ length: 5 }, (_, index) => randomBytes(15 + index).toString("base64url"));
  const key = randomBytes(2_400).toString("base64").replace(/.{64}/g, "$&\n");
  const cases = [
    { name: "no secret", matcher: new SecretMatcher([]) },
    { name: "5 tokens", matcher: new SecretMatcher(tokens), most: 0.2 },
    { name: "5 tokens, a key of 50 lines", matcher: new SecretMatcher([...tokens, key]) },
    { name: "5 tokens, one of 4 characters", matcher: new SecretMatcher([...tokens, "q7Zx"]), most: 0.2 },
  ];
  const output = makeOutput();
  const samples = cases.map((): number[] => []);
  // The first run of all pays for what is compiled on the way.
  for (const { matcher } of cases) await measureCpu(output, Math.min(megabytes, 10), matcher);
  // In turns: what else the machine does then bears on all of them.
  for (let round = 0; round < rounds; round++) {
    for (const [index, { matcher }] of cases.entries()) {
      samples[index]?.push(await measureCpu(output, megabytes, matcher));
    }
  }
  const medians = samples.map((values) => summarize(values).median);
  return cases.map(({ name, most }, index) => {
    const cpuMs = medians[index] ?? Number.NaN;
    const added = cpuMs / (medians[0] ?? Number.NaN) - 1;
    const value = `${cpuMs.toFixed(2)} ms of CPU per MB${index === 0 ? "" : `, ${(added * 100).toFixed(0)} % more`}`;
    return {
      name,
      value,
      ...(most === undefined ? {} : { aim: { text: `≤ ${most * 100} % more`, met: added <= most } }),
    };
  });
}

/** A megabyte of lines such as a server writes. */
function makeOutput(): Buffer {
  const lines = Array.from({ length: million / lineBytes }, (_, index) => {
    const id = randomBytes(12).toString("hex");
    const line = `2026-01-05 INFO [worker-${index % 17}] done id=${id} path=/api/v1/items/${index % 1000} ms=${index % 977}`;
    return `${line.padEnd(lineBytes - 1, ".").slice(0, lineBytes - 1)}\n`;
  });
  return Buffer.from(lines.join(""));
}

async function measureCpu(output: Buffer, megabytes: number, matcher: SecretMatcher): Promise<number> {
  const log = new StepLog({
    owner: { step: 1, name: "step-1" },
    putChunk: async () => undefined,
    flushMs: () => 1_500,
    uploadDeadlineMs: 60_000,
    nowMs: Date.now,
    signal: new AbortController().signal,
    onFault: (error) => {
      throw error;
    },
  });
  let closed: Promise<unknown> | undefined;
  const write = (stream: "stdout" | "stderr", bytes: Buffer) => log.write(stream, bytes);
  const close = () => {
    closed = log.close();
  };
  const masked = maskOutput({ write, close }, matcher);
  const before = process.cpuUsage();
  for (let written = 0; written < megabytes; written++) {
    for (let at = 0; at < output.length; at += readBytes) {
      await masked.write("stdout", output.subarray(at, at + readBytes));
    }
  }
  masked.close();
  await closed;
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / megabytes;
}
