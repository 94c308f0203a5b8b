import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { type MetricsManifest, metricsManifestSchema } from "../../shared/domain/manifest.ts";
import { type MetricSample, parseSamples } from "../../shared/domain/metric-sample.ts";
import { metricsManifestKey } from "../../shared/domain/object-keys.ts";
import { createLogger } from "../../shared/log.ts";
import { replaySpool, storeReplayed } from "../../workers/metrics/adopt-spools.ts";
import { AttemptMetrics } from "../../workers/metrics/attempt-metrics.ts";
import { Spool } from "../../workers/metrics/spool.ts";
import { readRecords } from "../../workers/metrics/spool-format.ts";
import { asyncPropertyRun } from "../support/property-run.ts";

const owner = { jobId: "job-01arz3ndektsv4rrffq69g5fav", task: "t", attempt: 1, workerId: "w-dead" };
const manifestKey = metricsManifestKey(owner.jobId, owner.task, owner.attempt);
const log = createLogger("test", { level: "silent" });
/** Attempts that end at the same time. */
const atOnce = 50;
const putOptions = { deadlineMs: 0, signal: new AbortController().signal };

/** A bucket in memory; nothing in it is ever written again. `diesAfter` so many writes its writer is dead. */
class Bucket {
  readonly stored = new Map<string, Uint8Array | string>();
  requests = 0;
  bytes = 0;
  diesAfter = Number.POSITIVE_INFINITY;

  putIfAbsent = async (key: string, body: Uint8Array | string): Promise<boolean> => {
    if (this.requests >= this.diesAfter) throw new Error("dead");
    this.requests++;
    this.bytes += body.length;
    if (this.stored.has(key)) return false;
    this.stored.set(key, body);
    return true;
  };

  /** Another one that holds the first of its objects. */
  copy(objects: number): Bucket {
    const copy = new Bucket();
    for (const [key, body] of [...this.stored].slice(0, objects)) copy.stored.set(key, body);
    return copy;
  }

  readSamples(): MetricSample[] {
    const keys = [...this.stored.keys()].filter((key) => key.endsWith(".zst")).sort();
    return keys.flatMap((key) => this.readSnapshot(key));
  }

  readSnapshot(key: string): MetricSample[] {
    const body = this.stored.get(key);
    return body instanceof Uint8Array ? parseSamples(zstdDecompressSync(body).toString("utf8")) : [];
  }

  readManifest(): MetricsManifest | undefined {
    const body = this.stored.get(manifestKey);
    return body === undefined ? undefined : metricsManifestSchema.parse(JSON.parse(String(body)));
  }
}

/** An attempt with samples of its own, on a folder of its own: `steps` says when samples are taken and put. */
async function runAttempt(workDir: string, steps: readonly ("sample" | "put")[], bucket: Bucket, name = "t.wal") {
  let nowMs = 0;
  const path = join(workDir, name);
  const spool = new Spool(path, owner, (error) => {
    throw error;
  });
  // Where its worker is killed nobody else closes its file.
  onTestFinished(() => spool.leave());
  const metrics = new AttemptMetrics({
    owner,
    spool,
    objects: bucket,
    intervalMs: 5_000,
    nowMs: () => nowMs,
    wallMs: () => 1_800_000_000_000 + nowMs,
    log,
  });
  const source = { read: () => ({ cpuUs: nowMs * 100, memoryBytes: 1_000 + nowMs, pids: 1 }) };
  metrics.watch({ step: 1 }, { source, ended: new Promise(() => undefined) });
  for (const step of steps) {
    if (step === "sample") {
      nowMs += 5_000;
      await metrics.sampleIfDue(undefined);
    } else {
      // However long the attempt has run, it is time for a snapshot.
      nowMs += 600_000;
      await metrics.putIfDue(putOptions);
    }
  }
  return { path, spool, metrics };
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-spool-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What the next worker makes of a spool of these bytes; it may die on the way. */
async function adopt(bytes: Buffer, bucket: Bucket): Promise<void> {
  const replayed = replaySpool(readRecords(bytes));
  if (replayed === undefined) return;
  await storeReplayed(replayed, bucket, putOptions).catch((error: unknown) => {
    if (!(error instanceof Error && error.message === "dead")) throw error;
  });
}

/** A manifest names what is there and all of it, whole. */
function expectSoundManifest(bucket: Bucket): void {
  const manifest = bucket.readManifest();
  if (manifest === undefined) return;
  const keys = [...bucket.stored.keys()].filter((key) => key.endsWith(".zst")).sort();
  expect(manifest.snapshots.map(({ key }) => key)).toEqual(keys);
  for (const { key, samples } of manifest.snapshots) expect(bucket.readSnapshot(key)).toHaveLength(samples);
}

const steps = fc.array(fc.constantFrom("sample" as const, "sample" as const, "sample" as const, "put" as const), {
  minLength: 1,
  maxLength: 14,
});

describe("the samples of a worker that is killed", () => {
  it("come to a prefix of those it took, each once, at whatever byte its last write ends", async () => {
    const workDir = await makeFolder();
    const bucket = new Bucket();
    const { path, spool } = await runAttempt(
      workDir,
      ["sample", "sample", "put", "sample", "put", "sample", "sample"],
      bucket,
    );
    await spool.leave();
    const whole = await readFile(path);
    const taken = readRecords(whole).flatMap((record) => (record.kind === "sample" ? [record.sample] : []));
    expect(taken).toHaveLength(5);
    for (let end = 0; end <= whole.length; end++) {
      const left = whole.subarray(0, end);
      const records = readRecords(left);
      const isWhole = records.filter(({ kind }) => kind === "sample").length;
      // A snapshot is begun when its cut is on the disk, and told of when it is put: in between both may be.
      for (const kind of ["cut", "stored"] as const) {
        const found = await replayed(left, bucket.copy(records.filter((record) => record.kind === kind).length));
        expect(found).toEqual(taken.slice(0, isWhole));
      }
    }
    expect(await replayed(Buffer.concat([whole, Buffer.alloc(4096)]), bucket.copy(2))).toEqual(taken);
  });

  it("are stored once though it dies between any two of its writes, and though who adopts them dies, too", async () => {
    await asyncPropertyRun(
      fc.asyncProperty(steps, fc.nat(8), fc.nat(8), async (plan, dies, adopterDies) => {
        const workDir = await mkdtemp(join(tmpdir(), "sluice-spool-"));
        try {
          const bucket = new Bucket();
          bucket.diesAfter = dies;
          const { path, spool } = await runAttempt(workDir, plan, bucket);
          await spool.leave();
          const taken = plan.filter((step) => step === "sample").length;
          const bytes = taken === 0 ? Buffer.alloc(0) : await readFile(path);
          // Killed right after a put of which the spool does not tell yet, or before it.
          bucket.diesAfter = bucket.requests + adopterDies;
          await adopt(bytes, bucket);
          expectSoundManifest(bucket);
          bucket.diesAfter = Number.POSITIVE_INFINITY;
          await adopt(bytes, bucket);
          await adopt(bytes, bucket);
          expectSoundManifest(bucket);
          const samples = bucket.readSamples();
          expect(samples).toHaveLength(taken);
          expect(samples.map(({ at }) => at)).toEqual([...new Set(samples.map(({ at }) => at))].sort());
          expect(bucket.readManifest() === undefined).toBe(taken === 0);
        } finally {
          await rm(workDir, { recursive: true, force: true });
        }
      }),
      { numRuns: 60 },
    );
  });

  it("cost at the end what is not stored yet, with one finished attempt behind it as with a thousand", async () => {
    const costs = await Promise.all(
      [1, 1_000].map(async (finished) => {
        const workDir = await makeFolder();
        const bucket = new Bucket();
        for (let count = 0; count < finished; count += atOnce) {
          const attempts = Array.from({ length: Math.min(atOnce, finished) }, async (_, place) => {
            const { metrics } = await runAttempt(workDir, ["sample", "sample"], new Bucket(), `${place}.wal`);
            await metrics.finish(putOptions);
            await metrics.forget();
          });
          await Promise.all(attempts);
        }
        const { metrics, spool } = await runAttempt(workDir, ["sample", "put", "sample"], bucket);
        const before = { requests: bucket.requests, bytes: bucket.bytes, spooled: spool.bytes };
        await metrics.abandon(putOptions);
        expect(await readdir(workDir)).toEqual([]);
        return {
          requests: bucket.requests - before.requests,
          bytes: bucket.bytes - before.bytes,
          spooled: spool.bytes - before.spooled,
        };
      }),
    );
    expect(costs[1]).toEqual(costs[0]);
    // The last snapshot and the manifest.
    expect(costs[0]?.requests).toBe(2);
  });
});

async function replayed(bytes: Buffer, bucket: Bucket): Promise<MetricSample[]> {
  await adopt(bytes, bucket);
  expectSoundManifest(bucket);
  return bucket.readSamples();
}
