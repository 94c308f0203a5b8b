import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash, randomInt } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { zstdCompressSync } from "node:zlib";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { createObjectStore, type ObjectStore } from "../shared/clients/object-store.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import { storeArtifact } from "../workers/artifacts/artifact.ts";
import { compress } from "../workers/artifacts/compress.ts";
import { MemberList } from "../workers/artifacts/member-list.ts";
import { walkOutput } from "../workers/artifacts/output-files.ts";
import { createTarArchive } from "../workers/artifacts/tar-archive.ts";
import { type Figure, summarize } from "./support/statistics.ts";

const fileBytes = 42_000;
const filesPerFolder = 100;
const million = 1_000_000;
const patterns = { paths: ["**"] };
const contentType = "application/zstd";

/**
 * Packing output and storing it, against `tar | zstd -3 -T0` to a file and into the same bucket, and how much memory it
 * takes beside what the process had.
 */
export async function measureArtifacts(stack: RunningStack, files: number, rounds: number): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-artifacts-"));
  const { region, accessKeyId, secretAccessKey, s3: endpoint } = stack.aws;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  try {
    const output = join(folder, "output");
    await makeOutput(output, files);
    await client.send(new CreateBucketCommand({ Bucket: "bench" }));
    const objects = createObjectStore(client, "bench");
    const target = join(folder, "packed");
    const cases = {
      pipeToFile: () => pipeToFile(output, target),
      packToFile: () => packToFile(output, target),
      pipeToBucket: () => pipeToBucket(output, objects),
      packToBucket: () => packToBucket(output, objects),
    };
    const samples: Record<string, number[]> = {};
    let peakBytes = 0;
    // In turns: what else the machine does then bears on all of them.
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(cases)) {
        const startedAtMs = performance.now();
        const before = process.memoryUsage.rss();
        const watch = setInterval(() => {
          if (name === "packToBucket") peakBytes = Math.max(peakBytes, process.memoryUsage.rss() - before);
        }, 20);
        await run().finally(() => clearInterval(watch));
        const list = samples[name] ?? [];
        samples[name] = [...list, performance.now() - startedAtMs];
      }
    }
    const rate = (name: keyof typeof cases) =>
      (files * fileBytes) / million / (summarize(samples[name] ?? []).median / 1000);
    return [
      ...compare("packed to a file", rate("packToFile"), rate("pipeToFile"), 0.85),
      ...compare("packed into the bucket", rate("packToBucket"), rate("pipeToBucket"), 1),
      { name: "memory it takes at most", value: `${(peakBytes / million).toFixed(0)} MB more` },
    ];
  } finally {
    client.destroy();
    await rm(folder, { recursive: true, force: true });
  }
}

function compare(name: string, rate: number, pipeRate: number, least: number): Figure[] {
  const ratio = rate / pipeRate;
  const value = `${rate.toFixed(0)} MB/s, ${ratio.toFixed(2)} × tar | zstd -3 -T0 (${pipeRate.toFixed(0)} MB/s)`;
  return [{ name, value, aim: { text: `≥ ${least} ×`, met: ratio >= least } }];
}

/** Text of words of a vocabulary, some more frequent than others: it packs to about a quarter. */
async function makeOutput(output: string, files: number): Promise<void> {
  const words = Array.from({ length: 4096 }, () =>
    randomInt(2 ** 40)
      .toString(36)
      .slice(0, randomInt(4, 9)),
  );
  for (let file = 0; file < files; file++) {
    const folder = join(output, `d${Math.floor(file / filesPerFolder)}`);
    if (file % filesPerFolder === 0) await mkdir(folder, { recursive: true });
    let text = "";
    while (text.length < fileBytes) text += `${words[Math.floor(Math.random() ** 2 * words.length)]} `;
    await writeFile(join(folder, `f${file}.txt`), text.slice(0, fileBytes));
  }
}

function startPipe(output: string): ChildProcessByStdio<null, Readable, null> {
  return spawn("sh", ["-c", 'tar -cf - -C "$0" . | zstd -3 -T0 -q', output], { stdio: ["ignore", "pipe", "inherit"] });
}

async function pipeToFile(output: string, target: string): Promise<void> {
  const script = 'tar -cf - -C "$0" . | zstd -3 -T0 -q > "$1"';
  const [code] = await once(spawn("sh", ["-c", script, output, target], { stdio: "inherit" }), "close");
  if (code !== 0) throw new Error(`tar | zstd ended with ${code}`);
}

async function packToFile(output: string, target: string): Promise<void> {
  const hash = createHash("sha256");
  const members = new MemberList(keepText);
  const archive = createTarArchive(walkOutput(output, patterns, fail), fail, (member) => members.add(member));
  const hashed = async function* (pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      hash.update(piece);
      yield piece;
    }
  };
  // As much as the bucket takes before it lets wait.
  await pipeline(compress(archive), hashed, createWriteStream(target, { highWaterMark: 8 * 1024 * 1024 }));
  // As a worker does: what is in it is listed beside it.
  await writeFile(`${target}.list`, zstdCompressSync(members.takeText()));
}

async function pipeToBucket(output: string, objects: ObjectStore): Promise<void> {
  await objects.putStream("pipe", startPipe(output).stdout, { contentType });
}

async function packToBucket(output: string, objects: ObjectStore): Promise<void> {
  const { signal } = new AbortController();
  const place = { objects, key: "pack", listKey: "pack.list", name: "t", outputDir: output };
  await storeArtifact({ ...place, patterns, mask: keepText, signal });
}

function keepText(text: string): string {
  return text;
}

function fail(problem: { name: string; why: string }): never {
  throw new Error(`${problem.name}: ${problem.why}`);
}
