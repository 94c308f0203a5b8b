import { createHash } from "node:crypto";
import { describe, expect, it, onTestFinished } from "vitest";
import { readLogChunks } from "../../cli/logs/read-log-chunks.ts";
import type { LogChunkPage, LogPage } from "../../shared/api/log-schemas.ts";
import type { ApiClient } from "../../shared/api-client/index.ts";
import { stepLogPrefix } from "../../shared/domain/object-keys.ts";
import { StepLog } from "../../workers/logs/step-log.ts";
import { noopJob } from "../support/control-plane.ts";
import { useControlPlane } from "../support/control-plane-fixture.ts";
import { completed } from "../support/control-plane-worker.ts";

const plane = useControlPlane();

/** SLUICE_SCALE=full for a log of 200 MB. */
const megabytes = process.env.SLUICE_SCALE === "full" ? 200 : 10;
const lines = megabytes * 10_000;
/** Memory of the process that may come and go while a log of any size is read. */
const roomBytes = 256 * 1024 ** 2;

const lineAt = (index: number) => `${`line ${index} `.padEnd(99, ".")}\n`;

/** A task that has printed all of it; answers the path of its log and the digest of its text. */
async function printLargeLog() {
  const steps = [{ kind: "process" as const, name: "loud", entry: { command: ["true"] } }];
  const jobId = await plane().submit(noopJob(["a"], { steps }));
  const worker = plane().createWorker();
  const claimed = await worker.claimOne();
  const prefix = stepLogPrefix(jobId, "a", 1, 1);
  const log = new StepLog({
    owner: { step: 1, name: "loud" },
    putChunk: (name, content) => plane().deps.objects.put(prefix + name, content, "application/zstd"),
    flushMs: () => 1_500,
    uploadDeadlineMs: 60_000,
    nowMs: plane().clock.now,
    signal: new AbortController().signal,
    onFault: (error) => {
      throw error;
    },
  });
  const hash = createHash("sha256");
  for (let first = 0; first < lines; first += 1_000) {
    const bytes = Buffer.from(Array.from({ length: 1_000 }, (_, index) => lineAt(first + index)).join(""));
    hash.update(bytes);
    await log.write("stdout", bytes);
  }
  await log.close();
  await worker.report(claimed, completed());
  return { path: `/v1/jobs/${jobId}/tasks/a/logs`, digest: hash.digest("hex") };
}

/** Reads a log as `sluice logs` does. */
async function readByChunks(path: string) {
  let pages = 0;
  const listLogChunks = (_job: string, _task: string, query: object = {}): Promise<LogChunkPage> => {
    pages++;
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    return plane().call(`${path}/chunks?${new URLSearchParams(Object.fromEntries(given))}`);
  };
  const api: Pick<ApiClient, "listLogChunks"> = { listLogChunks };
  const hash = createHash("sha256");
  let links = 0;
  const options = { job: "", task: "", query: {}, signal: new AbortController().signal };
  for await (const { content } of readLogChunks(api as ApiClient, options)) {
    links++;
    hash.update(content.text);
  }
  return { digest: hash.digest("hex"), requests: links + pages };
}

function watchMemory() {
  const used = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, used());
  }, 20);
  onTestFinished(() => clearInterval(timer));
  return { grownBy: () => peak - before };
}

describe(`a log of ${megabytes} MB`, () => {
  it("is read anywhere by a few requests, and whole in little memory", { timeout: 300_000 }, async () => {
    const { path, digest } = await printLargeLog();
    const cost = async (query: string) => {
      plane().requests.reset();
      const page = await plane().call<LogPage>(path + query);
      const { "s3.GetObject": reads = 0, "s3.ListObjectsV2": lists = 0 } = plane().requests.counts();
      return { texts: page.lines.map(({ text }) => `${text}\n`), reads, lists };
    };
    const tail = await cost("?tail=10");
    expect(tail.texts).toEqual(Array.from({ length: 10 }, (_, index) => lineAt(lines - 10 + index)));
    expect(tail.reads).toBe(1);
    const middle = await cost(`?lines=${lines / 2}-${lines / 2 + 99}`);
    expect(middle.texts).toEqual(Array.from({ length: 100 }, (_, index) => lineAt(lines / 2 + index)));
    expect(middle.reads).toBeLessThanOrEqual(2);
    expect(Math.max(tail.lists, middle.lists)).toBeLessThanOrEqual(3);
    const range = await plane().request(path, { headers: { range: `bytes=${lines * 50}-${lines * 50 + 99}` } });
    expect(await range.text()).toBe(lineAt(lines / 2));

    const memory = watchMemory();
    const read = await readByChunks(path);
    expect(read.digest).toBe(digest);
    expect(read.requests).toBeLessThanOrEqual(megabytes / 3 + 3);
    const hash = createHash("sha256");
    const whole = await plane().request(path, { headers: { accept: "text/plain" } });
    for await (const bytes of whole.body ?? []) hash.update(bytes);
    expect(hash.digest("hex")).toBe(digest);
    expect(memory.grownBy()).toBeLessThan(roomBytes);
  });
});
