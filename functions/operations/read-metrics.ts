import { Readable } from "node:stream";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import type { ObjectStore } from "../../shared/clients/object-store.ts";
import {
  type Footprint,
  FootprintCounter,
  type MetricSample,
  parseSamples,
} from "../../shared/domain/metric-sample.ts";
import { metricsManifestKey, metricsPrefix } from "../../shared/domain/object-keys.ts";
import type { Logger } from "../../shared/log.ts";
import { readAhead } from "../../shared/read-ahead.ts";
import type { Deps } from "../deps.ts";

const decompress = promisify(zstdDecompress);

/** Of a snapshot in UTF-8, many times what a worker puts into one: what becomes larger is none of ours. */
const largestSnapshotBytes = 64 * 1024 * 1024;
/** Snapshots that are fetched at the same time. */
const parallelReads = 8;

/** What became of reading an attempt's samples. */
export interface ReadSamples {
  footprint: Footprint | undefined;
  /** Snapshots that are damaged, or in the form of another version: their samples are missing. */
  unreadable: number;
  /** Whoever took the attempt's place in storing them has said that these are all. */
  hasManifest: boolean;
}

/**
 * Hands what is stored of an attempt's samples to `take`, in the order they were stored; of a running one those so far.
 * Of an attempt of weeks there are hundreds of thousands: they are never held together.
 */
export async function readSamples(
  { objects, log }: Pick<Deps, "objects" | "log">,
  attempt: { jobId: string; task: string; attempt: number },
  take: (sample: MetricSample) => void,
): Promise<ReadSamples> {
  const keys = await listKeys(objects, metricsPrefix(attempt.jobId, attempt.task, attempt.attempt));
  const manifestKey = metricsManifestKey(attempt.jobId, attempt.task, attempt.attempt);
  const snapshotKeys = Readable.from(keys.filter((key) => key.endsWith(".zst")));
  const counter = new FootprintCounter();
  let unreadable = 0;
  for await (const samples of readAhead(
    snapshotKeys,
    (key: string) => readSnapshot(objects, log, key),
    parallelReads,
  )) {
    if (samples === undefined) unreadable += 1;
    for (const sample of samples ?? []) {
      counter.add(sample);
      take(sample);
    }
  }
  return { unreadable, footprint: counter.footprint, hasManifest: keys.includes(manifestKey) };
}

async function listKeys(objects: Pick<ObjectStore, "list">, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let more = true;
  while (more) {
    const startAfter = keys.at(-1);
    const page = await objects.list(prefix, startAfter === undefined ? {} : { startAfter });
    keys.push(...page.objects.map(({ key }) => key));
    more = page.more;
  }
  return keys;
}

/** Undefined where it cannot be read: the others are worth showing all the same. */
async function readSnapshot(
  objects: Pick<ObjectStore, "get">,
  log: Logger,
  key: string,
): Promise<MetricSample[] | undefined> {
  const stored = await objects.get(key);
  if (stored === undefined) return [];
  try {
    const text = await decompress(stored, { maxOutputLength: largestSnapshotBytes });
    return parseSamples(text.toString("utf8"));
  } catch (error) {
    log.error({ err: error, key }, "a snapshot of samples cannot be read; it is left out");
    return undefined;
  }
}
