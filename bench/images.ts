import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import Docker from "dockerode";
import { createApiClient } from "../shared/api-client/index.ts";
import type { RunningStack } from "../test/support/local-stack.ts";
import type { Figure } from "./support/statistics.ts";

const cliFile = fileURLToPath(new URL("../cli/bin.mjs", import.meta.url));
const million = 1_000_000;
const codeLines = 2_000;

/**
 * Ships an image of so many megabytes that do not compress, and ships it again after one line of its code was changed.
 * Needs a stack without workers, and Docker with the image given.
 */
export async function measureImages(stack: RunningStack, image: string, megabytes: number): Promise<Figure[]> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-bench-image-"));
  const docker = new Docker();
  const built: string[] = [];
  try {
    await pipeline(
      Readable.from(Array.from({ length: megabytes }, () => randomBytes(million))),
      createWriteStream(join(folder, "base.bin")),
    );
    const dockerfile = `FROM ${image}\nCOPY base.bin /\nCOPY code.txt /\nLABEL sluice.made-for=tests\n`;
    await writeFile(join(folder, "Dockerfile"), dockerfile);
    await writeFile(join(folder, "job.yaml"), "name: ship\nsteps: [{ dockerfile: ./Dockerfile }]\ntasks: [a]\n");
    const code = Array.from({ length: codeLines }, () => randomBytes(30).toString("hex"));
    const first = await ship(stack, folder, code);
    code[codeLines / 2] = "changed";
    const second = await ship(stack, folder, code);
    built.push(first.imageId, second.imageId);
    const ratio = second.sentBytes / second.layerBytes;
    const rate = first.sentBytes / million / first.seconds;
    return [
      {
        name: `an image of ${megabytes} MB, first time: docker build, save, zstd, upload`,
        value: `${first.seconds.toFixed(1)} s (${rate.toFixed(0)} MB/s), ${(first.peakBytes / million).toFixed(0)} MB of memory at most`,
      },
      {
        name: "again after a change of one line: bytes sent",
        value: `${second.sentBytes} B = ${ratio.toFixed(3)} × the changed layer, ${second.seconds.toFixed(1)} s`,
        aim: { text: "≤ 1.1 ×", met: ratio <= 1.1 },
      },
    ];
  } finally {
    for (const imageId of new Set(built)) await docker.getImage(imageId).remove({ force: true });
    await rm(folder, { recursive: true });
  }
}

interface Shipped {
  imageId: string;
  seconds: number;
  sentBytes: number;
  /** Of the blob of the image's last layer. */
  layerBytes: number;
  peakBytes: number;
}

async function ship(stack: RunningStack, folder: string, code: readonly string[]): Promise<Shipped> {
  await writeFile(join(folder, "code.txt"), code.join("\n"));
  const api = createApiClient({ url: stack.url, token: stack.token, userAgent: "bench" });
  const before = new Set((await Array.fromAsync(api.eachImageBlob())).map(({ digest }) => digest));
  const startedAtMs = performance.now();
  const peakBytes = await runAsync(stack, join(folder, "job.yaml"));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const blobs = await Array.fromAsync(api.eachImageBlob());
  const added = blobs.filter(({ digest }) => !before.has(digest));
  const sizes = added.map(({ bytes }) => bytes).sort((a, b) => a - b);
  // Of a changed image: its configuration and its layer.
  return {
    imageId: await findImage(added.map(({ digest }) => digest)),
    seconds,
    sentBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    layerBytes: sizes.at(-1) ?? 0,
    peakBytes,
  };
}

/** The image among digests of configurations and layers. */
async function findImage(digests: readonly string[]): Promise<string> {
  const images = await new Docker().listImages();
  const found = images.find(({ Id }) => digests.includes(Id));
  if (!found) throw new Error("the image that was shipped is not there");
  return found.Id;
}

/** Submits a job by the real command and answers how much memory that took at most. */
async function runAsync(stack: RunningStack, jobFile: string): Promise<number> {
  const env = { ...process.env, SLUICE_URL: stack.url, SLUICE_TOKEN: stack.token, DOCKER_BUILDKIT: "0" };
  const child = spawn(process.execPath, [cliFile, "run", jobFile, "--async"], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (text: Buffer) => {
    said += text.toString();
  });
  let peakBytes = 0;
  const look = setInterval(async () => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    peakBytes = Math.max(peakBytes, 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
  }, 100);
  const [code] = (await once(child, "close")) as [number | null];
  clearInterval(look);
  if (code !== 0) throw new Error(`the command ended with ${code}: ${said}`);
  return peakBytes;
}
